"""Files that a program stored for itself: torch's checkpoints, statistics, notes of references."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx

import hexconv
from hexconv.calibrate import write_statistics
from hexconv.calibrate.observe import measure
from hexconv.calibrate.statistics_file import read_statistics
from hexconv.onnx_graph import load
from tests.fuzz.files.damage import damaged, reworded
from tests.fuzz.files.seeds import Files

NOTE = "hexconv_reference"


def checkpoint(random: Random) -> Files:
    """A checkpoint of a generator with something that none has, or damaged bytes."""
    import torch

    weights: dict[Any, Any] = {
        "conv_pre.weight": torch.ones(3, 4),
        "conv_pre.bias": torch.ones(3),
        "ups.0.weight_g": torch.ones(3, 1),
        "ups.0.weight_v": torch.ones(3, 4),
    }
    odd = (
        *(torch.zeros(2, dtype=torch.complex64), torch.zeros(3, dtype=torch.bool)),
        *(torch.full((2, 2), float("nan")), torch.zeros(0, 3), torch.tensor(1)),
        *(torch.zeros(3, 4).to_sparse(), torch.empty(3, device="meta"), [torch.zeros(2)], None),
    )
    weights[random.choice([*weights, 5, "x", ("a",), ""])] = random.choice(odd)
    states = ({"generator": weights}, {"state_dict": weights}, weights, [1, 2], {"generator": None})
    stream = io.BytesIO()
    torch.save(random.choice(states), stream, _use_new_zipfile_serialization=random.random() < 0.8)
    content = stream.getvalue()
    return {"g_1": damaged(content, random) if random.random() < 0.6 else content}


def use_checkpoint(folder: Path) -> None:
    """As `export hifigan` reads one."""
    from hexconv.models import hifigan

    hifigan.read_checkpoint(folder / "g_1")


def statistics(model: onnx.ModelProto, random: Random) -> Files:
    """A file of `calibrate -o PART.ranges.npz`, its bytes, header or an array damaged."""
    content = _statistics(model.SerializeToString(), random.choice(("minmax", "percentile")))
    if random.random() < 0.4:
        return {"m.ranges.npz": damaged(content, random)}
    arrays = dict(np.load(io.BytesIO(content)))
    name = random.choice([*arrays])
    array = arrays[name]
    match random.randrange(7):
        case 0 | 1 | 2:
            text = reworded(json.dumps(json.loads(arrays["header"].tobytes())), random)
            arrays["header"] = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
        case 3:
            del arrays[name]
        case 4:
            arrays[name] = array[..., None]
        case 5:
            arrays[name] = np.full_like(array, np.nan if array.dtype.kind == "f" else 0)
        case _:
            arrays[name] = array.astype(random.choice(("<f8", "<c8", "|S2", "<i2")))
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return {"m.ranges.npz": stream.getvalue()}


@functools.cache
def _statistics(model: bytes, observer: Any) -> bytes:
    graph = load(onnx.ModelProto.FromString(model))
    sample = {item.name: np.ones(item.shape, np.float32) for item in graph.inputs}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "m.ranges.npz"
        write_statistics(path, measure(graph, [sample], observer))
        return path.read_bytes()


def use_statistics(folder: Path) -> None:
    """As `calibrate --merge` reads them."""
    found = read_statistics(folder / "m.ranges.npz")
    found.merge(read_statistics(folder / "m.ranges.npz"))
    found.ranges()


def reference(model: onnx.ModelProto, random: Random) -> Files:
    """A reference model whose note is damaged."""
    found = onnx.ModelProto.FromString(_reference(model.SerializeToString()))
    (note,) = (entry for entry in found.metadata_props if entry.key == NOTE)
    odd = ("[]", "1", "null", '{"reshapes":1e999}', "[" * 9999)
    note.value = reworded(note.value, random) if random.random() < 0.8 else random.choice(odd)
    return {"r.onnx": found.SerializeToString()}


@functools.cache
def _reference(model: bytes) -> bytes:
    proto = onnx.ModelProto.FromString(model)
    with tempfile.TemporaryDirectory() as place:
        hexconv.convert(proto, ranges={"x": (-1, 1), "y": (0, 1)}, name="m").save(place)
        (path,) = Path(place).glob("*reference*.onnx")
        return path.read_bytes()


def use_reference(folder: Path) -> None:
    """As `verify` reads one."""
    load(folder / "r.onnx")
