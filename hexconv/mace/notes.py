"""What hexconv notes in args of a NetDef: MACE passes them over, `load` reads them back.

The model's interface as its user sees it, the ONNX tensor that a node computes, and the SHA-256 of
the weight file that belongs to the `.pb`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import isfinite
from typing import Any

from hexconv.files import parse_json
from hexconv.names import shortened
from hexconv.nnlib.graph import Graph, Interface, Origin
from hexconv.nnlib.layout import Layout
from hexconv.slices import Slices

INTERFACE_ARG = "hexconv_interface"
ORIGIN_ARG = "hexconv_origin"
NODE_ARG = "hexconv_onnx_node"
DATA_ARG = "hexconv_data_sha256"

DIGEST = re.compile(r"[0-9a-f]{64}")
Notes = dict[str, bytes]
"""Args by name."""


def interface_note(graph: Graph) -> bytes:
    """The inputs and outputs of a model."""
    sides = {"inputs": graph.inputs, "outputs": graph.outputs}
    told = {side: [_interface(item) for item in items] for side, items in sides.items()}
    return json.dumps(told).encode()


def origin_note(origin: Origin) -> bytes:
    """The ONNX tensor that a node computes."""
    told = {"tensor": origin.tensor, "shape": origin.shape, "layout": origin.layout.axes}
    return json.dumps(told).encode()


def _interface(item: Interface) -> dict[str, object]:
    told: dict[str, object] = {
        "name": item.name,
        "shape": item.shape,
        "layout": item.layout.axes,
        "range": item.range,
    }
    if item.slices is not None:
        told["slices"] = {"ends": item.slices.ends, "axis": item.slices.axis}
    return {**told, "nhwc": True} if item.nhwc else told


def read_interfaces(notes: Notes, side: str) -> dict[str, Interface]:
    """The noted inputs or outputs by name; none where nothing is noted.

    Raises:
        ValueError, KeyError, TypeError: the note does not say what one of hexconv's does.
    """
    if INTERFACE_ARG not in notes:
        return {}
    items = parse_json(notes[INTERFACE_ARG])[side]
    return {item.name: item for item in map(_read_interface, items)}


def _read_interface(told: Any) -> Interface:
    shape = _sizes(told["shape"])
    low, high = (float(bound) for bound in told["range"])
    if not (isfinite(low) and isfinite(high) and low <= high):
        raise ValueError(f"the range {low:g}..{high:g} of '{told['name']}'")
    layout = _layout(told["layout"], len(shape))
    name, nhwc = str(told["name"]), told.get("nhwc") is True
    slices = _slices(told["slices"], len(shape)) if "slices" in told else None
    return Interface(name, shape, layout, (low, high), nhwc, slices)


def _slices(told: Any, rank: int) -> Slices:
    axis = int(told["axis"])
    if not 0 <= axis < rank:
        raise ValueError(f"slices along axis {axis} of rank {rank}")
    return Slices(tuple(float(end) for end in told["ends"]), axis)


def read_origin(notes: Notes) -> Origin | None:
    """The ONNX tensor that a node's first output holds, if one is noted.

    Raises:
        ValueError, KeyError, TypeError: as `read_interfaces`.
    """
    if ORIGIN_ARG not in notes:
        return None
    told = parse_json(notes[ORIGIN_ARG])
    shape = _sizes(told["shape"])
    return Origin(str(told["tensor"]), shape, _layout(told["layout"], len(shape)))


def read_digest(notes: Notes) -> str:
    """The SHA-256 of the weight file; "" where none is noted.

    Raises:
        ValueError: it is no SHA-256.
    """
    digest = notes.get(DATA_ARG, b"").decode()
    if digest and not DIGEST.fullmatch(digest):
        raise ValueError(f"'{digest[:80]}' is no SHA-256")
    return digest


def _sizes(told: Sequence[Any]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in told)
    if any(size < 1 for size in sizes):
        raise ValueError(f"a shape of {shortened(str(list(sizes)))}")
    return sizes


def _layout(told: Sequence[Sequence[Any]], rank: int) -> Layout:
    b, h, w, d = (tuple(int(axis) for axis in group) for group in told)
    layout = Layout((b, h, w, d))
    if sorted(layout.order) != list(range(rank)):
        text = shortened(str([list(group) for group in layout.axes]))
        raise ValueError(f"a layout of {text} for rank {rank}")
    return layout
