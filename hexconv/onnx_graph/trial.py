"""A model with numbers that no exporter writes is read by another process first.

The C++ of onnx and of ONNX Runtime takes numbers on trust: some crash the process, which no
`except` catches. `proto_check` bounds those that are known to; the others are tried where a crash
is an error.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import EncodeError
from onnx import TensorProto

from hexconv.errors import ModelError
from hexconv.onnx_graph.protos import inner_graphs

USUAL = 1 << 24
"""Numbers up to this are sizes, axes, strides: what exporters write."""

ENDS = frozenset(
    sign * 2**bits + add for bits in (31, 63) for sign in (1, -1) for add in (-1, 0, 1)
)
"""Numbers that stand for "to the end"."""

SMALL = 64
"""Elements of a constant that may be sizes or axes."""

CHILD = Path(__file__).with_name("trial_child.py")


def check_by_trial(proto: onnx.ModelProto, label: str) -> None:
    """Raise for an unusual model that crashes the C++ which reads it next.

    Raises:
        ModelError: it does, or takes minutes or gigabytes.
    """
    if not is_unusual(proto) or not sys.executable:
        return
    with suppress(EncodeError, ValueError):  # more than 2 GB
        code = _exit_code(proto.SerializeToString())
        if code < 0 or code > 255:  # of a signal; of an exception of Windows
            raise ModelError(
                "the ONNX model crashes ONNX's own code",
                where=label,
                why=f"a process that read it first ended with {_ended(code)}",
                hint="look for numbers of attributes or constants that are far too large",
            )


def is_unusual(proto: onnx.ModelProto) -> bool:
    """Whether an integer in an attribute or small constant is larger than exporters write."""
    return any(abs(number) > USUAL and number not in ENDS for number in _numbers(proto))


def _numbers(proto: onnx.ModelProto) -> Iterator[int]:
    graphs = [proto.graph]
    nodes = [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        while graphs:
            graph = graphs.pop()
            yield from _constants(graph.initializer)
            nodes.extend(graph.node)
        if nodes:
            node = nodes.pop()
            graphs.extend(inner_graphs(node))
            for attribute in node.attribute:
                yield attribute.i
                yield from attribute.ints
                if attribute.HasField("t"):
                    yield from _constants([attribute.t])


def _constants(tensors: Iterable[TensorProto]) -> Iterator[int]:
    for tensor in tensors:
        if tensor.data_type == TensorProto.INT64 and prod(tensor.dims) <= SMALL:
            whole = len(tensor.raw_data) // 8 * 8
            yield from map(int, np.frombuffer(tensor.raw_data[:whole], "<i8"))
            yield from tensor.int64_data


def _exit_code(content: bytes) -> int:
    command = [sys.executable, "-I", str(CHILD), json.dumps(sys.path)]
    nowhere = subprocess.DEVNULL
    return subprocess.run(
        command, input=content, stdout=nowhere, stderr=nowhere, check=False
    ).returncode


def _ended(code: int) -> str:
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"exit code {code:#x}"
