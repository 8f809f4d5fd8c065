"""A converted or loaded model: the nnlib graph, and what is known of how it came about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hexconv.calibrate import format_ranges
from hexconv.files import write_files
from hexconv.mace import data_pieces, read_graph, to_proto
from hexconv.mace.deployment import Source, deployment_yaml
from hexconv.mace.deployment_file import Deployment
from hexconv.names import shortened
from hexconv.nnlib.graph import Graph, Interface
from hexconv.notebook import html_table

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class InFloat:
    """An ONNX node that is computed in float on the DSP, and its price.

    Attributes:
        node: its name.
        why: what int8 refuses, or that it was asked for.
        nnlib: what it became.
        packets: predicted for one execution, those of `unknown` ops left out.
        milliseconds: predicted on the default SoC.
        unknown: executed ops of which nothing like it was measured.
    """

    node: str
    why: str
    nnlib: tuple[str, ...]
    packets: float
    milliseconds: float
    unknown: tuple[str, ...] = ()


class AppliedRewrite(NamedTuple):
    """Something recognized, rewritten, decomposed or fused, and how often."""

    kind: str
    name: str
    times: int


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        source: the ONNX file.
        sha256: of it.
        onnx_ops: nodes of the float graph that was lowered, by op.
        rewrites: (kind, name, times) of everything recognised, rewritten, decomposed or fused.
        transposes_wanted: transposes in the float graph.
        transposes_left: Transpose_8 nodes emitted.
        warnings: what the user must know.
        saved: predicted packets that each rewrite saved, where that was asked for.
        made: nnlib ops by the ONNX node that they come from.
        floats: nodes that are computed in float.
    """

    source: str = ""
    sha256: str = ""
    onnx_ops: Mapping[str, int] = field(default_factory=dict)
    rewrites: tuple[AppliedRewrite, ...] = ()
    transposes_wanted: int = 0
    transposes_left: int = 0
    warnings: tuple[str, ...] = ()
    made: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    floats: tuple[InFloat, ...] = ()
    saved: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """A model cut in two.

    Attributes:
        dsp: what is converted; its outputs are the cuts, and those outputs of the model that it
            computes itself.
        cpu: the rest; None where nothing had to be cut off.
        cuts: the tensors handed over.
        source: the file that was cut, or what stands for it in messages.
        only_cpu: inputs of the model that the DSP part does not read.
    """

    dsp: onnx.ModelProto
    cpu: onnx.ModelProto | None
    cuts: tuple[str, ...]
    source: str
    only_cpu: tuple[str, ...] = ()


@dataclass(repr=False)
class Model:
    """An nnlib graph ready to be saved, simulated, run and costed.

    Attributes:
        graph: consts, nodes, interface.
        ranges: calibrated (min, max) by tensor name; empty for a loaded model.
        conversion: what the conversion did; None for a loaded model.
        deployment: the user's YAML that asked for it, if one did.
        parts: both halves of the ONNX model that it is the DSP part of, if that was cut.
    """

    graph: Graph
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    conversion: Conversion | None = None
    deployment: Deployment | None = None
    parts: Parts | None = None

    @property
    def name(self) -> str:
        """The model's name, as MACE's YAML and file names have it."""
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
        """Everything about the model as plain data, for JSON."""
        return {
            "name": self.name,
            "inputs": [_interface(item) for item in self.graph.inputs],
            "outputs": [_interface(item) for item in self.graph.outputs],
            "nnlib_ops": self.graph.histogram(),
            "consts": len(self.graph.consts),
            "weight_bytes": self._weight_bytes(),
            "conversion": asdict(self.conversion) if self.conversion else None,
            "split": self._split(),
        }

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

    def save(self, folder: str | Path) -> list[Path]:
        """Write `NAME.pb`, `.data`, `.yml`, `.ranges` and `.report.json`, all or none.

        Of a model that was cut also `NAME.dsp.onnx`, which the YAML names, and `NAME.cpu.onnx`.

        Returns:
            The files written.

        Raises:
            FileError: the folder cannot be written.
        """
        place = Path(folder)
        stem = place / self.name
        net = to_proto(self.graph).SerializeToString(deterministic=True)
        halves = self._halves(stem)
        files: dict[Path, Any] = {
            stem.with_suffix(".pb"): net,
            stem.with_suffix(".data"): data_pieces(self.graph),
            stem.with_suffix(".yml"): deployment_yaml(
                self.graph,
                source=self._source(halves),
                ranges=bool(self.ranges),
                given=self.deployment,
                folder=place,
            ).encode(),
            stem.with_suffix(".report.json"): (
                json.dumps(self.report(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            ).encode(),
        }
        if self.ranges:
            files[stem.with_suffix(".ranges")] = format_ranges(self.ranges).encode()
        files.update(halves)
        write_files(files)
        return list(files)

    def _halves(self, stem: Path) -> dict[Path, bytes]:
        """Both parts of the ONNX model by path, the DSP's first; nothing if it was not cut."""
        if self.parts is None or self.parts.cpu is None:
            return {}
        protos = {".dsp.onnx": self.parts.dsp, ".cpu.onnx": self.parts.cpu}
        return {
            stem.with_name(stem.name + suffix): proto.SerializeToString(deterministic=True)
            for suffix, proto in protos.items()
        }

    def _source(self, halves: Mapping[Path, bytes]) -> Source:
        """What the YAML names as the model: the DSP part's file, if the model was cut."""
        if halves:
            path, content = next(iter(halves.items()))
            return Source(str(path), hashlib.sha256(content).hexdigest())
        if self.conversion is None:
            return Source()
        return Source(self.conversion.source, self.conversion.sha256)


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
    }
