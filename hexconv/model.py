"""A converted or loaded model: the nnlib graph, and how it was converted."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv.argument_types import ARRAYS, DOCUMENT, FILES, checks_types
from hexconv.arrays import FloatArray
from hexconv.calibrate import format_ranges
from hexconv.conversion_record import Conversion, Parts
from hexconv.errors import GraphError, HexconvError, HexconvWarning
from hexconv.files import write_files
from hexconv.mace import data_digest, data_pieces, read_graph, to_proto
from hexconv.mace.deployment import Place, deployment_yaml
from hexconv.mace.deployment_file import Deployment
from hexconv.names import encoded, shortened
from hexconv.nnlib.graph import Graph, Interface
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.notebook import html_table
from hexconv.raw_tensors import file_name, to_raw
from hexconv.schema import document, to_json

if TYPE_CHECKING:
    import onnx


FRONT = ".front.onnx"


@dataclass(repr=False)
class Model:
    """An nnlib graph ready to be saved, simulated, run and costed.

    Attributes:
        graph: consts, nodes, interface.
        ranges: calibrated (min, max) by tensor name; empty for a loaded model.
        conversion: the record of the conversion; None for a loaded model.
        deployment: the user's YAML for the conversion, if there is one.
        parts: both halves of the ONNX model that it is the DSP part of, if that was cut.
        float_model: the ONNX file or proto that it was converted from; None for a loaded model.
        idle_inputs: inputs of the ONNX model that nothing reads and the DSP does not have.
        axes: of a model of chunks, the axis of time of each input and output that has one.
        front: what computes its inputs on the CPU, if it is the rest of a larger ONNX model.
    """

    graph: Graph
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    conversion: Conversion | None = None
    deployment: Deployment | None = None
    parts: Parts | None = None
    float_model: str | Path | onnx.ModelProto | None = None
    idle_inputs: tuple[str, ...] = ()
    front: onnx.ModelProto | None = None
    axes: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name in MACE's YAML and file names."""
        return self.graph.name

    def __repr__(self) -> str:
        ends = ", ".join(map(_interface_text, self.graph.inputs))
        made = ", ".join(map(_interface_text, self.graph.outputs))
        return (
            f"<hexconv.Model {self.name}: {len(self.graph.nodes)} nodes, "
            f"{self._weight_bytes() / 1e6:.1f} MB of weights\n"
            f"  inputs  {shortened(ends)}\n  outputs {shortened(made)}>"
        )

    def _repr_html_(self) -> str:
        title = f"{self.name}: {len(self.graph.nodes)} nodes"
        ends = [("input", item) for item in self.graph.inputs]
        ends += [("output", item) for item in self.graph.outputs]
        rows = [
            (side, item.name, _sizes(item), f"{item.range[0]:.4g} to {item.range[1]:.4g}")
            for side, item in ends
        ]
        ops = html_table("nnlib ops", ("op", "nodes"), self.graph.histogram().items())
        return html_table(title, ("", "tensor", "shape", "range"), rows) + ops

    def report(self) -> dict[str, Any]:
        """Everything about the model as plain data: a document of `hexconv.schema`.

        The cost is predicted for the library that the conversion optimized for. `accuracy` is null:
        `hexconv convert` measures it.
        """
        did = self.conversion
        library = did.library if did else DEFAULT_LIBRARY
        return document(
            "convert",
            {
                "name": self.name,
                "library": library,
                "inputs": [_interface(item) for item in self.graph.inputs],
                "outputs": [_interface(item) for item in self.graph.outputs],
                "nnlib_ops": self.graph.histogram(),
                "consts": len(self.graph.consts),
                "weight_bytes": self._weight_bytes(),
                "weight_sha256": data_digest(self.graph),
                "conversion": did.as_dict() if did else None,
                "split": self._split(),
                "accuracy": None,
                "coverage": did.coverage() if did else None,
                "cost": self._cost(library),
            },
        )

    def _cost(self, library: LibraryVersion) -> dict[str, Any] | None:
        """The prediction; None of a graph that the library would not accept."""
        from hexconv.cost import predict

        try:
            return predict(self.graph, library).as_dict()
        except GraphError:
            return None

    def _weight_bytes(self) -> int:
        return sum(const.array.nbytes for const in self.graph.consts if not const.shape_only)

    def _split(self) -> dict[str, Any] | None:
        """How the model was cut, as plain data."""
        if self.parts is None or self.parts.cpu is None:
            return None
        return {
            "cuts": list(self.parts.cuts),
            "dsp_nodes": len(self.parts.dsp.graph.node),
            "cpu_nodes": len(self.parts.cpu.graph.node),
            "cpu_inputs": [item.name for item in self.parts.cpu.graph.input],
            "cpu_outputs": [item.name for item in self.parts.cpu.graph.output],
        }

    @checks_types(inputs=ARRAYS, report=DOCUMENT, more=FILES)
    def save(
        self,
        folder: str | Path,
        *,
        mace_layout: bool = False,
        inputs: Mapping[str, FloatArray] | None = None,
        report: Mapping[str, Any] | None = None,
        more: Mapping[str, bytes] | None = None,
    ) -> list[Path]:
        """Write `NAME.pb`, `.data`, `.yml`, `.ranges` and `.report.json`, all or none.

        Of a model that MACE's tools cannot feed as it is also `NAME.reference.onnx`, which the
        YAML names. Of a model that was cut also `NAME.dsp.onnx` and `NAME.cpu.onnx`, of one whose
        first nodes were cut off `NAME.front.onnx`.

        Args:
            folder: made as needed.
            mace_layout: write into `folder/NAME/model`, where MACE's tools look, name files in the
                YAML by absolute paths, and write the net as text too, `NAME.pb_txt`.
            inputs: one sample, to be written as the raw files that MACE's tools read.
            report: what `report` returned, or more; made here otherwise.
            more: other files of the set, by what follows NAME.

        Returns:
            The files written.

        Raises:
            FileError: the folder cannot be written.

        Warns:
            HexconvWarning: the reference model cannot be made.
        """
        place = Path(folder) / self.name / "model" if mace_layout else Path(folder)
        stem = place / self.name
        net = to_proto(self.graph)
        onnx_files = self._onnx_files(stem)
        raw = self._raw_inputs(place, inputs or {})
        source, sha256 = self._named_source(onnx_files)
        deployed = Place(
            folder=place,
            model=source,
            sha256=sha256,
            ranges=bool(self.ranges),
            inputs={name: path for name, (path, _) in raw.items()},
            absolute=mace_layout,
        )
        files: dict[Path, Any] = {
            stem.with_suffix(".pb"): net.SerializeToString(deterministic=True),
            stem.with_suffix(".data"): data_pieces(self.graph),
            stem.with_suffix(".yml"): deployment_yaml(
                self.graph, deployed, self.deployment
            ).encode(),
            stem.with_suffix(".report.json"): encoded(to_json(report or self.report())),
        }
        if mace_layout:
            files[stem.with_suffix(".pb_txt")] = str(net).encode()
        if self.ranges:
            files[stem.with_suffix(".ranges")] = format_ranges(self.ranges).encode()
        files.update({**onnx_files, **dict(raw.values())})
        files.update({stem.with_suffix(end): content for end, content in (more or {}).items()})
        write_files(files)
        return list(files)

    def _onnx_files(self, stem: Path) -> dict[Path, bytes]:
        """The ONNX files to write; the one that the YAML names is the first."""
        cut = self.parts is not None and self.parts.cpu is not None
        named = {
            ".reference.onnx": self._reference(),
            ".dsp.onnx": self.parts.dsp if self.parts is not None and cut else None,
            ".cpu.onnx": self.parts.cpu if self.parts is not None and cut else None,
            FRONT: self.front,
        }
        return {
            stem.with_name(stem.name + suffix): proto.SerializeToString(deterministic=True)
            for suffix, proto in named.items()
            if proto is not None
        }

    def _reference(self) -> onnx.ModelProto | None:
        """The ONNX model as MACE's tools can feed it; None where the user's own will do."""
        if self.float_model is None or self.conversion is None:
            return None
        from hexconv.onnx_graph.reference import reference_if_needed

        fed = {item.name: item.shape for item in self.graph.inputs}
        sha256 = self.conversion.sha256
        try:
            sliced = {i.name: i.slices for i in self.graph.outputs if i.slices is not None}
            return reference_if_needed(self.float_model, sha256, fed, self.idle_inputs, sliced)
        except HexconvError as error:
            told = f"there is no {self.name}.reference.onnx for MACE's tools: {error.what}"
            warnings.warn(told, HexconvWarning, stacklevel=3)
            return None

    def _raw_inputs(
        self, folder: Path, inputs: Mapping[str, FloatArray]
    ) -> dict[str, tuple[Path, bytes]]:
        """The raw file of each input, by input."""
        return {
            item.name: (
                folder / file_name(self.name, item.name),
                to_raw(inputs[item.name], item.data_format),
            )
            for item in self.graph.inputs
            if item.name in inputs
        }

    def _named_source(self, onnx_files: Mapping[Path, bytes]) -> tuple[str, str]:
        """The ONNX file that the YAML names, and its checksum."""
        for path, content in onnx_files.items():
            if not path.name.endswith(FRONT):
                return str(path), hashlib.sha256(content).hexdigest()
        if self.conversion is None:
            return "", ""
        return self.conversion.source, self.conversion.sha256


@checks_types()
def load(path: str | Path) -> Model:
    """Load a model from MACE's files: `NAME.pb` with `NAME.data` beside it.

    Raises:
        FileError: a file is missing, damaged, or not MACE's.
        GraphError: the files do not fit each other.
    """
    return Model(read_graph(Path(path)))


def _sizes(item: Interface) -> str:
    return "x".join(map(str, item.shape))


def _interface_text(item: Interface) -> str:
    return f"{item.name} {_sizes(item)}"


def _interface(item: Any) -> dict[str, Any]:
    return {
        "name": item.name,
        "shape": list(item.shape),
        "bhwd": list(item.bhwd),
        "range": list(item.range),
        "slices": None if item.slices is None else list(item.slices.ends),
    }
