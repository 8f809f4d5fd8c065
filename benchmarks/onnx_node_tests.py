"""ONNX's own backend node tests through hexconv: right, rejected with a reason, wrong, or crashed.

    python benchmarks/onnx_node_tests.py [--library-file FILE ...] [--only PATTERN] [--write]

Every test of kind "node" that is fed float data is converted, calibrated on its own data and
simulated as each version of the library computes it; with --library-file (once for each version)
the real library runs it as well, and must return the simulator's bits. Inputs of other types
(axes, shapes, indices, masks) become constants, as they are in models; float inputs stay inputs,
and where that is unsupported (weights, slopes, bounds), all but the first become constants too.

`check` must say of each what `convert` finds: that it converts, or that it does not.

The criterion: quantization moves an input by up to 1 LSB, and float arithmetic tells how far that
moves the output. An output is right if it is no farther from float's than that, plus 1 LSB of the
output's range, plus `STEP_A_NODE` for each node of the library that rounds in between.
"""

from __future__ import annotations

import argparse
import fnmatch
import re
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hexconv
from benchmarks import pages
from hexconv.errors import HexconvError, NotFiniteError, UnsupportedOpErrors
from hexconv.nnlib.versions import LIBRARIES
from hexconv.quantize import cover, encode

PAGE = Path(__file__).resolve().parent.parent / "docs" / "onnx-node-tests.md"
FLOATS = (np.float32, np.float16, np.float64)
STEP_A_NODE = 0.8  # the largest rounding error of any library op (Maximum, 0.8 LSB)
EXACT = {  # nodes that only move values
    "QuantizeINPUT_f_to_8",
    "DequantizeOUTPUT_8tof",
    "QuantizedReshape",
    "Transpose_8",
    "QuantizedSlice_8",
    "QuantizedStridedSlice_8",
    "QuantizedTile_8",
    "QuantizedPad_8",
    "CastUInt8ToInt32",
    "Select_8",
    "QuantizedMaxPool_8",
    "QuantizedRelu_8",
}
DRAWS = 8
Feeds = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Case:
    """One test: the model, its inputs, the outputs that ONNX defines."""

    name: str
    model: onnx.ModelProto
    feeds: Feeds
    results: tuple[Any, ...]

    @property
    def op(self) -> str:
        """What it tests."""
        return self.name.removeprefix("test_").removesuffix("_expanded")


@dataclass(frozen=True)
class Verdict:
    """The result of a case; `excess` is its error beyond what quantization explains, in LSB."""

    case: str
    fate: str
    reason: str = ""
    excess: float = 0.0


def cases(pattern: str = "*") -> Iterator[Case]:
    """The tests with float inputs; each with its first data set."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_model_tests(kind="node")
    for test in found:
        model = test.model
        if not fnmatch.fnmatch(test.name, f"*{pattern}*") or not test.data_sets or model is None:
            continue
        inputs, outputs = test.data_sets[0]
        if not all(isinstance(array, np.ndarray) for array in inputs):
            continue
        names = [value.name for value in model.graph.input]
        feeds = {name: np.asarray(a) for name, a in zip(names, inputs, strict=False)}
        if any(array.dtype in FLOATS and array.size for array in feeds.values()):
            yield Case(test.name, model, feeds, tuple(_array(result) for result in outputs))


def _array(result: Any) -> Any:
    """ONNX gives some expected outputs of 16-bit integers as tensors of the file format."""
    return onnx.numpy_helper.to_array(result) if isinstance(result, onnx.TensorProto) else result


def judged(case: Case, libraries: Sequence[Any] = ()) -> Verdict:
    """Convert and simulate one case, all float inputs at run time if possible, then the first."""
    floats = [name for name, array in case.feeds.items() if array.dtype in FLOATS]
    verdict = Verdict(case.name, "rejected", "")
    for live in dict.fromkeys((tuple(floats), tuple(floats[:1]))):
        verdict = _judged(case, live, libraries)
        if verdict.fate != "rejected":
            break
    return verdict


def _judged(case: Case, live: tuple[str, ...], libraries: Sequence[Any]) -> Verdict:
    feeds = {name: np.asarray(case.feeds[name], np.float32) for name in live}
    if not all(np.isfinite(array).all() for array in feeds.values()):
        return Verdict(case.name, "rejected", "an input that is not finite")
    proto = _bound(case, live)
    passes = _passes(proto)
    try:
        model = hexconv.convert(proto, samples=[feeds])
        simulated = {v: hexconv.simulate(model, feeds, library=v) for v in LIBRARIES}
        for library in libraries:
            for name, array in library.run(model, feeds).items():
                if array.tobytes() != simulated[library.version][name].tobytes():
                    why = f"the {library.version} library computes another '{name}'"
                    return Verdict(case.name, "wrong", why)
    except HexconvError as error:
        if passes and not isinstance(error, NotFiniteError):
            return Verdict(case.name, "wrong", f"check passes it, but {_reason(error)}")
        return Verdict(case.name, "rejected", _reason(error))
    except Exception as error:  # a crash is what this looks for
        return Verdict(case.name, "crashed", f"{type(error).__name__}: {error}")
    if not passes:
        return Verdict(case.name, "wrong", "check rejects it, but it converts")
    excess = max(_excess(case, live, outputs) for outputs in simulated.values())
    allowed = 1.0 + STEP_A_NODE * sum(node.op not in EXACT for node in model.graph.nodes)
    return Verdict(case.name, "right" if excess <= allowed else "wrong", "", excess)


def _passes(proto: onnx.ModelProto) -> bool:
    """Whether `check` finds that a model converts."""
    try:
        return hexconv.check(proto).ok
    except HexconvError:
        return False


def _bound(case: Case, live: Iterable[str]) -> onnx.ModelProto:
    """The model with every input that is not live as an initializer, float inputs as float32."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    keep = set(live)
    for value in list(graph.input):
        if value.name not in keep:
            graph.input.remove(value)
            if value.name in case.feeds:
                graph.initializer.append(
                    onnx.numpy_helper.from_array(case.feeds[value.name], value.name)
                )
    return model


def _excess(case: Case, live: tuple[str, ...], results: Mapping[str, Any]) -> float:
    """The largest error beyond what 1 LSB in the inputs explains, in LSB of the output."""
    run = _float_runner(case.model)
    floats = [name for name in case.feeds if name in live or _is_data(case.feeds[name])]
    steps = {name: _step(case.feeds[name]) for name in floats}
    rng = np.random.default_rng(0)
    drawn = [_moved(case, steps, rng, sign) for sign in (-1.0, 1.0)]
    drawn += [_moved(case, steps, rng) for _ in range(DRAWS)]
    drawn.append(_rounded(case, floats))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        moved = [run(None, feeds) for feeds in drawn]
    worst = 0.0
    for index, value in enumerate(case.model.graph.output):
        if value.name not in results:
            continue
        exact = np.asarray(case.results[index], np.float64)
        got = np.asarray(results[value.name], np.float64)
        if got.shape != exact.shape:
            return np.inf
        reach = np.max([np.abs(np.asarray(m[index], np.float64) - exact) for m in moved], axis=0)
        step = _step(exact)
        with np.errstate(all="ignore"):
            error = np.where(np.isfinite(exact), np.abs(got - exact) - np.nan_to_num(reach), 0.0)
        worst = max(worst, float(np.max(error)) / step)
    return worst


def _float_runner(model: onnx.ModelProto) -> Callable[[None, Any], Any]:
    """ONNX's reference evaluator; ONNX Runtime for the old ops that it no longer has."""
    import onnxruntime
    from onnx.reference import ReferenceEvaluator

    try:
        run: Callable[[None, Any], Any] = ReferenceEvaluator(model).run
    except NotImplementedError:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        run = session.run
    return run


def _is_data(array: np.ndarray[Any, Any]) -> bool:
    """Whether a constant is quantized like data; factors, bounds and scales are lists."""
    return array.dtype in FLOATS and array.ndim > 1 and array.size > 0


def _step(array: np.ndarray[Any, Any]) -> float:
    """1 LSB of a uint8 tensor that contains the array and zero."""
    finite = np.asarray(array, np.float64)
    finite = finite[np.isfinite(finite)]
    value_range = max(finite.max(initial=0.0), 0.0) - min(finite.min(initial=0.0), 0.0)
    return float(value_range / 255.0) or 1.0


def _moved(
    case: Case, steps: Mapping[str, float], rng: np.random.Generator, sign: float | None = None
) -> Feeds:
    """The inputs 1 LSB up, down, or at random."""
    feeds = dict(case.feeds)
    for name, step in steps.items():
        array = feeds[name]
        shift = sign if sign is not None else rng.choice([-1.0, 0.0, 1.0], array.shape)
        feeds[name] = np.asarray(array + shift * step, array.dtype)
    return feeds


def _rounded(case: Case, floats: Iterable[str]) -> Feeds:
    """The inputs, quantized to uint8 and back."""
    feeds = dict(case.feeds)
    for name in floats:
        array = np.asarray(feeds[name], np.float32)
        finite = array[np.isfinite(array)]
        value_range = cover(float(finite.min(initial=0.0)), float(finite.max(initial=0.0)))
        codes = (
            encode(array, value_range).astype(np.float64) - value_range.zero
        ) * value_range.step
        feeds[name] = np.asarray(np.where(np.isfinite(array), codes, array), feeds[name].dtype)
    return feeds


def _reason(error: HexconvError) -> str:
    first: HexconvError = error.unsupported[0] if isinstance(error, UnsupportedOpErrors) else error
    text = first.what + (f": {first.why}" if first.why else "")
    text = re.sub(r"'[^']*'", "'...'", text.splitlines()[0])
    return re.sub(r"[\[(][-\d., ]*[\])]|-?\b\d+(\.\d+)?(e[-+]?\d+)?\b", "N", text)


def page(verdicts: list[Verdict], versions: Sequence[str]) -> str:
    """The table as Markdown; `versions`: of the real libraries that ran each as well."""
    counts = Counter(v.fate for v in verdicts)
    total = len(verdicts)
    lines = [
        "# ONNX's backend node tests",
        "",
        "Generated by `python benchmarks/onnx_node_tests.py --write`; do not edit by hand.",
        "",
        f"onnx {onnx.__version__}: {total} tests of kind `node` have float inputs. Each is "
        "converted, calibrated on its own data, and simulated as each version of the library "
        "computes it; `check` says of each whether it converts."
        + (
            f" The real libraries ({', '.join(versions)}) returned the same bits."
            if versions
            else ""
        ),
        "",
        "| fate | tests | share |",
        "|---|---|---|",
    ]
    for fate in ("right", "rejected", "wrong", "crashed"):
        lines.append(f"| {fate} | {counts[fate]} | {counts[fate] / max(total, 1):.1%} |")
    lines += [
        "",
        f"Right: no farther from ONNX's expected output than float arithmetic moves if the inputs "
        f"move by 1 LSB of uint8, plus 1 LSB of the output's range, plus {STEP_A_NODE} for each "
        "node of the library that rounds.",
        "",
    ]
    for fate, title in (
        ("crashed", "Crashed"),
        ("wrong", "Wrong"),
        ("rejected", "Rejected, by reason"),
    ):
        groups: dict[str, list[str]] = defaultdict(list)
        for verdict in verdicts:
            if verdict.fate == fate:
                groups[verdict.reason or "the output"].append(verdict.case.removeprefix("test_"))
        if groups:
            lines += [f"## {title}", "", "| reason | tests | which |", "|---|---|---|"]
            for reason, names in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
                cell = reason.replace("|", "\\|")
                lines.append(f"| {cell} | {len(names)} | {', '.join(sorted(names))} |")
            lines.append("")
    right = sorted(v.case.removeprefix("test_") for v in verdicts if v.fate == "right")
    return "\n".join([*lines, "## Right", "", ", ".join(right), ""])


def main() -> int:
    """Run the tests, print the figures, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library-file", action="append", default=[], help="also run each in this")
    parser.add_argument("--only", default="*", help="a pattern of test names")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each test")
    options = parser.parse_args()
    from hexconv.device import Library

    libraries = [Library(file) for file in options.library_file]
    verdicts = []
    for case in cases(options.only):
        verdict = judged(case, libraries)
        verdicts.append(verdict)
        if options.verbose or verdict.fate in ("wrong", "crashed"):
            print(f"{verdict.fate:8} {verdict.case} {verdict.reason} {verdict.excess:.1f}")
            sys.stdout.flush()
    for fate, count in Counter(v.fate for v in verdicts).items():
        print(f"{fate}: {count} of {len(verdicts)}, {count / len(verdicts):.1%}")
    if options.write:
        pages.write(PAGE, page(verdicts, [library.version for library in libraries]))
    return 1 if any(v.fate in ("wrong", "crashed") for v in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
