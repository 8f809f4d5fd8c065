"""Nodes that have a d32 form use it, with conversions on their data inputs and outputs.

prepare.c do_convert_to_depth32, do_convert_concat_depth32, do_convert_to_short_conv.
"""

from __future__ import annotations

from collections.abc import Iterable

from hexconv.nnlib.graph import Output, Ref
from hexconv.nnlib.prepare import pad_for_conv
from hexconv.nnlib.prepare.depth32_rules import Depth32Rule, input_supernode, rule_for
from hexconv.nnlib.prepare.mutable_graph import Op, Work

SMALLEST_OUTPUT = 16 * 1024


class Converter:
    """One pass over the nodes; remembers what has been converted to d32 already."""

    def __init__(self) -> None:
        self.in_d32: dict[Ref, Ref] = {}

    def visit(self, work: Work, op: Op) -> list[Op] | None:
        """The replacement of a node."""
        if op.op in ("Convert_to_d32", "Convert_to_d32_16b"):
            if len(op.inputs) == 1:
                self.in_d32.setdefault(op.inputs[0], op.ref())
            return None
        short = input_supernode(work, op)
        if short is not None:
            return None if short == op.op else self.short(work, op, short)
        rule = rule_for(work, op)
        if rule is None:
            padding = pad_for_conv.before(work, op)
            return None if padding is None else [padding, op]
        if rule.many:
            return self.many(work, op, rule)
        before = self.convert_all(work, op, rule.converted)
        outputs = op.outputs
        op.op = rule.d32
        padding = pad_for_conv.before(work, op)
        after = [from_d32(work, op, 0, outputs[0])] if rule.from_d32 else []
        return [*before, *([] if padding is None else [padding]), op, *after]

    def convert_all(self, work: Work, op: Op, positions: Iterable[int]) -> list[Op]:
        """The conversions to insert before a node.

        A tensor that it reads twice is converted twice: the library looks for conversions in the
        graph, where those of this node are not yet.
        """
        made = [self.convert(work, op, position) for position in positions]
        for node in made:
            if node is not None:
                self.in_d32.setdefault(node.inputs[0], node.ref())
        return [node for node in made if node is not None]

    def convert(self, work: Work, op: Op, position: int) -> Op | None:
        """Let an input read d32 data; the conversion, if a new one is needed."""
        ref = op.inputs[position]
        source = work.by_id.get(ref.node)
        declared = work.declared(ref)
        suffix = "_16b" if declared.elsize == 2 else ""
        if source is not None and ref.port == 0 and source.op == f"Convert_from_d32{suffix}":
            op.inputs[position] = source.inputs[0]
            return None
        if ref in self.in_d32:
            op.inputs[position] = self.in_d32[ref]
            return None
        name = source.name if source is not None else work.consts[ref.node].name
        dtype = "uint16" if declared.elsize == 2 else "uint8"
        made = work.make(
            f"{name}/to_d32", f"Convert_to_d32{suffix}", [ref], (Output(declared.shape, dtype),)
        )
        op.inputs[position] = made.ref()
        return made

    def many(self, work: Work, op: Op, rule: Depth32Rule) -> list[Op] | None:
        """Concat, Split, ChannelShuffle: several data inputs or outputs. [*,1,1,D] stays flat."""
        count = (len(op.inputs) - 1) // 3
        if len(op.inputs) != 3 * count + 1 or op.outputs[0].shape[1:3] == (1, 1):
            return None
        axis_is_data = op.inputs[0] == op.inputs[1]
        before = self.convert_all(work, op, range(1, 1 + count))
        if axis_is_data and op.op == "QuantizedSplit_8":
            op.inputs[0] = op.inputs[1]
        op.op = rule.d32
        after = [from_d32(work, op, i, output) for i, output in enumerate(op.outputs[:-2])]
        return [*before, op, *after]

    def short(self, work: Work, op: Op, kind: str) -> list[Op]:
        """At most 4 input channels: reads flat data, writes d32, at least 16 KB declared."""
        b, h, w, d = op.outputs[0].shape
        op.op = kind
        converted = from_d32(work, op, 0, op.outputs[0])
        if b * h * w * d < SMALLEST_OUTPUT:
            d = -(-SMALLEST_OUTPUT // (b * h * w))
        op.outputs = (Output((b, h, w, d), "uint8"), *op.outputs[1:])
        return [op, converted]


def from_d32(work: Work, op: Op, port: int, output: Output) -> Op:
    """A conversion back; all readers of the output read it instead."""
    suffix = "_16b" if output.elsize == 2 else ""
    dtype = output.dtype if output.elsize == 2 else "uint8"
    made = work.make(
        f"{op.name}/from_d32" if port == 0 else f"{op.name}/from_d32/{port}",
        f"Convert_from_d32{suffix}",
        [op.ref(port)],
        (Output(output.shape, dtype),),
    )
    old, new = op.ref(port), made.ref()
    for reader in work.readers.get(op.id, []):
        reader.inputs = [new if ref == old else ref for ref in reader.inputs]
    return made


def run(work: Work) -> None:
    """Convert every node that has a d32 form."""
    converter = Converter()
    work.rewrite(converter.visit)
