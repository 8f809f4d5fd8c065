"""`hexconv convert --to qdq`: the model as quantized ONNX, and how it compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.cli._json import emit
from hexconv.cli._terminal import say
from hexconv.errors import HexconvError
from hexconv.nnlib.versions import LibraryVersion

if TYPE_CHECKING:
    import onnx

    from hexconv.compare.accuracy import Accuracy


ON_HOST = "ONNX Runtime, CPU"


@dataclass(frozen=True)
class QdqRequest:
    """What was asked for.

    Attributes:
        source: the ONNX model.
        output: folder.
        shapes, samples, ranges, settings: as for `convert`.
        count: samples to compare on; 0 compares nothing.
        library: that the DSP model is simulated for.
    """

    source: Path
    output: Path
    shapes: Mapping[str, tuple[int, ...]]
    samples: Any
    ranges: Path | None
    settings: Mapping[str, Any]
    count: int
    library: LibraryVersion


def write_qdq(request: QdqRequest, *, as_json: bool, quiet: bool) -> None:
    """Quantize, write NAME.qdq.onnx, and print how far it and the DSP model are from float.

    Raises:
        HexconvError: the model cannot be quantized; nothing is written then.
    """
    from hexconv.cli._convert_page import size, warn_texts
    from hexconv.files import write_files
    from hexconv.model_names import model_name
    from hexconv.qdq import to_qdq

    shapes, samples = dict(request.shapes), request.samples
    made, warnings = to_qdq(request.source, shapes, samples, request.ranges, **request.settings)
    name = request.settings.get("name") or model_name(request.source)
    path = request.output / f"{name}.qdq.onnx"
    write_files({path: made.SerializeToString()})
    warn_texts(warnings)
    found = _compared(request, made) if request.count else {}
    emit("qdq", _machine(request, path, made, warnings, found), shown=as_json)
    if not (as_json or quiet):
        opset = made.opset_import[0].version
        say(f"{path} ({size(path.stat().st_size)}): opset {opset}, per-channel int8 weights")
        for where, outputs in found.items():
            for output, item in outputs.items():
                say(f"  {where}: {output} {item.sqnr:.1f} dB SQNR against float")


def _compared(request: QdqRequest, made: onnx.ModelProto) -> dict[str, dict[str, Accuracy]]:
    """Accuracy by output of the quantized ONNX model, and of the DSP model where there is one."""
    from hexconv.asked_model import source_of
    from hexconv.compare.accuracy import accuracy
    from hexconv.conversion import convert
    from hexconv.qdq import qdq_accuracy
    from hexconv.settings import Settings

    samples = request.samples
    asked = source_of(request.source, dict(request.shapes), Settings.of(request.settings))
    settings = {**request.settings, "constants": {}, "inputs": (), "outputs": (), "stateful": False}
    found: dict[str, dict[str, Accuracy]] = {}
    try:
        found[ON_HOST] = qdq_accuracy(
            made, asked.model, samples, shapes=asked.shapes, count=request.count
        )
        model = convert(asked.model, asked.shapes, samples, request.ranges, **settings)
        found[f"DSP, {request.library}"] = accuracy(
            model, asked.model, samples, count=request.count, library=request.library
        )
    except HexconvError as error:
        say(f"warning: not compared: {error.render(cli=True)}", err=True)
    return found


def _machine(
    request: QdqRequest,
    path: Path,
    made: onnx.ModelProto,
    warnings: list[str],
    found: Mapping[str, Mapping[str, Accuracy]],
) -> dict[str, Any]:
    from hexconv.compare.accuracy import section

    random = request.samples is None
    sections = {
        where: section(outputs, request.library, random=random) for where, outputs in found.items()
    }
    host = sections.get(ON_HOST)
    return {
        "files": [str(path)],
        "library": request.library,
        "opset": made.opset_import[0].version,
        "node_count": len(made.graph.node),
        "warnings": warnings,
        "accuracy": sections.get(f"DSP, {request.library}"),
        "accuracy_onnxruntime": None if host is None else {**host, "on": "onnxruntime"},
    }
