"""`check`: every op of a model against the table at once, before anything is converted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hexconv import op_table
from hexconv.argument_types import checks_types
from hexconv.arrays import Constant
from hexconv.asked_model import source_of
from hexconv.conversion import convert
from hexconv.errors import (
    GraphError,
    HexconvError,
    HexconvWarning,
    NodeRangeError,
    UnsupportedOpError,
    UnsupportedOpErrors,
)
from hexconv.lowering import dry_run
from hexconv.lowering.made_nodes import MadeNodes, made_nodes
from hexconv.names import shortened
from hexconv.notebook import html_table
from hexconv.optimize.legalize import executable
from hexconv.optimize.on_nnlib.tidy import tidied
from hexconv.pipeline import prepared
from hexconv.settings import UNROLLED, OptimizeLevel, Settings, SettingsDict

if TYPE_CHECKING:
    import onnx

    from hexconv.onnx_graph import FloatGraph


@dataclass(frozen=True)
class NodeSupport:
    """What one node maps to.

    Attributes:
        node: its name.
        op: its ONNX op.
        nnlib: its nnlib ops, as `convert` makes them; empty for one that costs no node.
        within: the node that it is fused into, where it is.
        macs: its multiply-accumulates.
        reason: why it cannot run, empty if it can.
        hint: the closest workaround.
        note: what the op table says of the op.
    """

    node: str
    op: str
    nnlib: tuple[str, ...]
    macs: int
    reason: str = ""
    hint: str = ""
    note: str = ""
    within: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        found = asdict(self)
        return {"onnx_node": found.pop("node"), "onnx_op": found.pop("op"), **found}


@dataclass(frozen=True, repr=False)
class SupportReport:
    """Every node of a model, and the shares that run in int8."""

    source: str
    nodes: tuple[NodeSupport, ...]

    def __repr__(self) -> str:
        return (
            f"<hexconv.SupportReport of {shortened(self.source, 40)}: {len(self.nodes)} nodes, "
            f"{len(self.unsupported)} unsupported>"
        )

    def _repr_html_(self) -> str:
        rows = [(n.node, n.op, ", ".join(n.nnlib) or _within(n), n.reason) for n in self.nodes]
        rows.sort(key=lambda row: not row[3])
        heads = ("node", "ONNX op", "nnlib ops", "unsupported because")
        return html_table(repr(self).strip("<>"), heads, rows)

    @property
    def ok(self) -> bool:
        """Whether the whole model runs on the DSP."""
        return not self.unsupported

    @property
    def unsupported(self) -> tuple[NodeSupport, ...]:
        """The nodes that do not."""
        return tuple(node for node in self.nodes if node.reason)

    @property
    def node_share(self) -> float:
        """Share of nodes in int8, 0..1."""
        return 1.0 - len(self.unsupported) / max(len(self.nodes), 1)

    @property
    def mac_share(self) -> float:
        """Share of multiply-accumulates in int8, 0..1."""
        total = sum(node.macs for node in self.nodes)
        lost = sum(node.macs for node in self.unsupported)
        return 1.0 - lost / total if total else 1.0

    def to_dict(self) -> dict[str, Any]:
        """The section `coverage` of a report: plain data, for JSON."""
        return {
            "ok": self.ok,
            "node_share": self.node_share,
            "mac_share": self.mac_share,
            "nodes": [node.as_dict() for node in self.nodes],
        }


@checks_types()
def check(
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None = None,
    optimize: OptimizeLevel = "default",
    *,
    float_fallback: bool = False,
    fusions: bool = True,
    constants: Mapping[str, Constant] | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    unroll: int = UNROLLED,
) -> SupportReport:
    """Show what each node maps to, or why it is unsupported; nothing is calibrated.

    Args:
        source: an .onnx file or proto.
        shapes: sizes of inputs by name, for those with dynamic dimensions.
        optimize: the level that the conversion would use.
        float_fallback: whether float ops may compute what int8 does not support.
        fusions: convert a model that runs, on random data, and name the ops that this makes;
            without it the ops of each node by itself, which takes less time; whether the ranges
            of the whole fit together is then seen on placeholders.
        constants: values that inputs are bound to, by name.
        inputs: tensors that become the model's inputs, all of them.
        outputs: tensors that become the model's outputs, all of them.
        unroll: steps up to which recurrent nodes are unrolled.

    Raises:
        HexconvError: the model itself cannot be read, or the library would prepare another graph
            than was meant of it (`nnlib/ranges/consistency`).
    """
    unloadable: list[UnsupportedOpError] = []
    chosen: SettingsDict = {
        "optimize": optimize,
        "float_fallback": float_fallback,
        "constants": constants or {},
        "inputs": inputs,
        "outputs": outputs,
        "unroll": unroll,
    }
    settings = Settings.of(chosen)
    asked = source_of(source, shapes, settings)
    graph, _ = prepared(asked.model, asked.shapes, settings, unloadable)
    macs = graph.macs()
    lowered = dry_run(graph, float_fallback=float_fallback)
    made = MadeNodes({name: list(ops) for name, ops in lowered.made.items()})
    unsupported = lowered.unsupported
    if not (unloadable or unsupported):
        if fusions:
            made, unsupported = _converted(source, shapes, chosen, graph, made)
        else:
            executable(tidied(lowered.graph))
    reason = {unsupported_op.node: unsupported_op for unsupported_op in unsupported}
    rows = []
    for node in graph.nodes:
        name, op = str(node.name), node.op_type
        unsupported_op = reason.pop(name, None)
        nnlib = () if unsupported_op else tuple(made.ops.get(name, ()))
        within = made.within.get(name, "") if lowered.made.get(name) else ""
        rows.append(_row(name, op, nnlib, macs.get(name, 0), unsupported_op, within))
    rest = [*unloadable, *reason.values()]
    rows += [
        _row(unsupported_op.node, unsupported_op.op, (), 0, unsupported_op)
        for unsupported_op in rest
    ]
    return SupportReport(graph.source, tuple(rows))


def _within(row: NodeSupport) -> str:
    return f"in {row.within}" if row.within else ""


def _converted(
    source: str | Path | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None,
    settings: SettingsDict,
    graph: FloatGraph,
    by_themselves: MadeNodes,
) -> tuple[MadeNodes, list[UnsupportedOpError]]:
    """What a conversion on random data makes of the nodes, or why it fails on any data.

    Args:
        source: of the model.
        shapes: of inputs.
        settings: of the conversion.
        graph: whose nodes they are.
        by_themselves: what the nodes become by themselves, where random data is why it fails.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HexconvWarning)
            model = convert(source, shapes, **settings)
    except UnsupportedOpErrors as errors:
        return by_themselves, list(errors.unsupported)
    except NodeRangeError as error:
        return by_themselves, [
            UnsupportedOpError(
                error.what, node=error.node, op=error.op, why=error.why, hint=error.hint
            )
        ]
    except GraphError:
        raise
    except HexconvError:
        return by_themselves, []
    return made_nodes(graph, model.graph), []


def _row(
    name: str,
    op: str,
    nnlib: tuple[str, ...],
    macs: int,
    unsupported_op: UnsupportedOpError | None,
    within: str = "",
) -> NodeSupport:
    table = op_table.load()
    return NodeSupport(
        node=name,
        op=op,
        nnlib=nnlib,
        macs=macs,
        reason=_reason(unsupported_op),
        hint=unsupported_op.hint if unsupported_op else "",
        note=str(table[op].why) if op in table else "",
        within=within,
    )


def _reason(unsupported_op: UnsupportedOpError | None) -> str:
    if unsupported_op is None:
        return ""
    return (
        f"{unsupported_op.what}: {unsupported_op.why}"
        if unsupported_op.why
        else unsupported_op.what
    )
