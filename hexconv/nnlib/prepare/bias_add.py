"""QuantizedAdd_8p8to32 of a const [1,1,1,D] is QuantizedBiasAdd_8p8to32."""

from __future__ import annotations

from hexconv.nnlib.prepare.mutable_graph import Work


def run(work: Work) -> None:
    """prepare.c do_mark_biasadd_node."""
    for op in work.ops:
        if op.op == "QuantizedAdd_8p8to32":
            bias = work.array(op.inputs[1])
            if bias is not None and bias.shape[:3] == (1, 1, 1) and bias.shape[3] > 1:
                op.op = "QuantizedBiasAdd_8p8to32"
