"""The main job: an ONNX model becomes an nnlib graph with static ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hexconv.model import Model
from hexconv.optimize.registry import REWRITES, Stage
from hexconv.optimize.search import Choice, search
from hexconv.pipeline import (
    Ranges,
    Samples,
    Settings,
    built,
    observed_ranges,
    prepared,
    refuse_early,
)

if TYPE_CHECKING:
    import onnx


def convert(
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None = None,
    samples: Samples | None = None,
    ranges: Ranges | None = None,
    optimize: str = "default",
    **settings: Any,
) -> Model:
    """Convert an ONNX model.

    Args:
        source: path of an .onnx file, or a proto.
        shapes: sizes of inputs by name, for those with dynamic dimensions.
        samples: a path (.npy, .npz, a folder), {input: path}, or {input: array} dicts.
        ranges: a `tensor@@min,max` file, or (min, max) by tensor name.
        optimize: "none", "default" or "all".
        **settings: see `Settings`.

    Returns:
        The model, its graph checked against what the library takes.

    Raises:
        HexconvError: the model, samples or ranges cannot be used; `UnsupportedOpErrors` lists
            every node that cannot run on the DSP.
    """
    chosen = Settings(optimize=optimize, **settings)
    kept = _Kept(samples)
    first = prepared(source, shapes, chosen)
    if ranges is None:
        refuse_early(first[0], chosen)
    observed, warnings = observed_ranges(first[0], kept.source, ranges, chosen)

    def build(choice: Choice) -> Model:
        turned = replace(chosen, without=tuple(choice.without), also=tuple(choice.also))
        ready = first if choice == start else prepared(source, shapes, turned)
        return built(source, *ready, dict(observed), turned, warnings)

    def score(model: Model) -> tuple[float, float, float]:
        from hexconv.compare.accuracy import accuracy
        from hexconv.cost import predict

        found = accuracy(model, source, kept.again())
        cost = predict(model)
        return cost.milliseconds(), cost.packets, min(item.sqnr for item in found.values())

    start = Choice(frozenset(chosen.without), frozenset(chosen.also))
    model = (
        search(build, score, start, chosen.progress) if chosen.optimize == "all" else build(start)
    )
    if not chosen.explain:
        return model

    def without(name: str) -> Model:
        turned = replace(chosen, without=(*chosen.without, name))
        graph, history = prepared(source, shapes, turned)
        calibrated = dict(observed)
        if REWRITES[name].stage is Stage.FLOAT:
            calibrated, _ = observed_ranges(graph, kept.again(), ranges, turned)
        return built(source, graph, history, calibrated, turned, warnings)

    return _explained(model, without)


def _explained(model: Model, without: Callable[[str], Model]) -> Model:
    """The model with the packets that each of its rewrites saved, as the cost model predicts."""
    from hexconv.cost import predict

    assert model.conversion is not None
    packets = predict(model).packets
    names = [name for _, name, _ in model.conversion.rewrites if name in REWRITES]
    saved = {name: predict(without(name)).packets - packets for name in names}
    return replace(model, conversion=replace(model.conversion, saved=saved))


class _Kept:
    """Samples that can be asked for again: a path is read again, of others the first few stay."""

    def __init__(self, samples: Samples | None, count: int = 4) -> None:
        self._first: list[Mapping[str, Any]] = []
        self._count = count
        again = samples is None or isinstance(samples, (str, Path, Mapping, Sequence))
        self.source = samples if again else self._watched(cast("Iterable[Any]", samples))
        self._again = samples if again else None

    def _watched(self, samples: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for sample in samples:
            if len(self._first) < self._count:
                self._first.append(sample)
            yield sample

    def again(self) -> Samples | None:
        """What the accuracy of a candidate is measured on."""
        return self._again if self._again is not None or not self._first else self._first
