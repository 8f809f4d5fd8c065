"""Each format: how a damaged file of it comes about, and everything that reads one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import onnx
from onnx import TensorProto, helper

import hexconv
from hexconv.calibrate import count_samples, read_samples
from hexconv.cost.logs import read_log
from hexconv.device.elf import checked_library
from hexconv.device.job import Slot
from hexconv.device.records import read_records
from hexconv.errors import HexconvError, NotFiniteError
from hexconv.from_deployment import convert_deployment
from hexconv.mace import proto
from hexconv.mace.deployment_file import preset, read_deployment
from hexconv.models import config as vocoder_config
from hexconv.onnx_graph import load
from hexconv.raw_tensors import read_raw
from tests.fuzz.files import seeds, stored
from tests.fuzz.files.damage import damaged, reworded
from tests.fuzz.files.messages import tampered
from tests.fuzz.files.models import spoiled

LIBRARY = os.environ.get("HEXCONV_LIBRARY", "")
OF_DATA = "softmax beta"
"""The limit that only calibration can tell."""
OTHER_DATA = ((0.1, 0.9), (1.0, 2.0), (-1e-3, 1e-3))
"""Ranges of inputs for which logarithms, roots, inverse and steep functions are finite."""
LARGEST_RUN = 1_000_000
"""Elements of an input that is fed; more shows no more and takes long."""

Make = Callable[[Random], seeds.Files]
Use = Callable[[Path], None]


@dataclass(frozen=True)
class Format:
    """`make` returns the files of a case by name; `use` reads them as hexconv's users do."""

    make: Make
    use: Use


def _onnx_fields(random: Random) -> seeds.Files:
    model = onnx.ModelProto.FromString(random.choice(seeds.onnx_models()))
    for change in random.choice(((spoiled,), (spoiled,), (tampered,), (spoiled, tampered))):
        change(model, random)
    return {"m.onnx": model.SerializeToString()}


def _onnx_bytes(random: Random) -> seeds.Files:
    return {"m.onnx": damaged(random.choice(seeds.onnx_models()), random)}


def _use_onnx(folder: Path) -> None:
    """check, convert, save, load, price, run: as far as each goes; check foretells convert."""
    path = folder / "m.onnx"
    fallback = len(path.read_bytes()) % 2 == 0
    passes = _passes(path, fallback)
    try:
        model = hexconv.convert(path, float_fallback=fallback)
    except HexconvError as error:
        foretold = not passes or _is_of_data(error, path, fallback)
        assert foretold, f"check passes what convert rejects: {error}"
        raise
    assert passes, "check rejects what converts"
    with tempfile.TemporaryDirectory() as place:
        model.save(place)
        _use_loaded(hexconv.load(Path(place) / f"{model.name}.pb"))


def _passes(path: Path, fallback: bool) -> bool:
    """Whether `check` finds that a file converts."""
    try:
        return hexconv.check(path, float_fallback=fallback).ok
    except HexconvError:
        return False


def _is_of_data(error: HexconvError, path: Path, fallback: bool) -> bool:
    """Whether a conversion failed because of its data: other data are converted."""
    if not isinstance(error, NotFiniteError):
        return OF_DATA in str(error)
    names = [info.name for info in load(path).inputs]
    for bounds in OTHER_DATA:
        with contextlib.suppress(NotFiniteError):
            spans = dict.fromkeys(names, bounds)
            hexconv.convert(path, float_fallback=fallback, input_ranges=spans)
            return True
    return False


def _pb_fields(random: Random) -> seeds.Files:
    content, data = seeds.any_converted(random)
    message = proto.MultiNetDef.FromString(content)
    if random.random() < 0.7:  # else the checksum finds what changed of the data before all else
        net = message.net_def[0]
        kept = [arg for arg in net.arg if arg.name != "hexconv_data_sha256"]
        del net.arg[:]
        net.arg.extend(kept)
    tampered(message, random)
    if random.random() < 0.2:
        data = damaged(data, random)
    return {"m.pb": message.SerializeToString(), "m.data": data}


def _pb_bytes(random: Random) -> seeds.Files:
    content, data = seeds.any_converted(random)
    return {"m.pb": damaged(content, random), "m.data": data}


def _use_pb(folder: Path) -> None:
    _use_loaded(hexconv.load(folder / "m.pb"))


def _use_loaded(model: hexconv.Model) -> None:
    """Everything that is done with a model that was loaded; each on its own may not be possible."""
    model.report()
    repr(model)
    feeds = None
    if all(np.prod(i.shape, dtype=object) <= LARGEST_RUN for i in model.graph.inputs):
        feeds = {i.name: np.ones(i.shape, np.float32) for i in model.graph.inputs}
    uses: list[Callable[[], object]] = [lambda: hexconv.cost.predict(model).milliseconds()]
    if feeds is not None:
        uses.append(lambda: hexconv.simulate(model, feeds, taps=True))
    with tempfile.TemporaryDirectory() as place:
        uses.append(lambda: model.save(place))
        for use in uses:
            try:
                use()
            except HexconvError as error:
                assert str(error)
    if feeds is not None and LIBRARY:
        hexconv.device.Library(LIBRARY, hexconv.device.Limits(seconds=60)).run(model, feeds)


def _of_one_input() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _arrays(random: Random) -> seeds.Files:
    return {name: damaged(content, random) for name, content in seeds.arrays(random).items()}


def _use_arrays(folder: Path) -> None:
    from hexconv.cpp.bench import read_feed
    from hexconv.device.feeds import _load
    from hexconv.models.spectra import read as read_mel
    from hexconv.nnlib.graph import Interface
    from hexconv.nnlib.layout import Layout

    (path,) = folder.glob("m.np*")
    mel, item = vocoder_config.V1, Interface("x", (1, 4), Layout.plain(2))
    for read in (
        lambda: list(read_samples(path, load(_of_one_input()))),
        lambda: count_samples(path, load(_of_one_input())),
        lambda: read_feed(path),
        lambda: read_mel(path, mel),
        lambda: _load(path, item),
    ):
        try:
            read()
        except HexconvError as error:
            assert str(error)


def _raw(random: Random) -> seeds.Files:
    return {"m.bin": damaged(np.ones(random.choice((4, 8, 1))).astype("<f4").tobytes(), random)}


def _use_raw(folder: Path) -> None:
    read_raw(folder / "m.bin", (1, 4))


def _ranges(random: Random) -> seeds.Files:
    text = "x@@-1.0,1.0\ny@@0.0,1.0\n"
    damage = damaged(text.encode(), random) if random.random() < 0.5 else b""
    return {"m.ranges": damage or reworded(text, random).encode("utf-8", "surrogatepass")}


def _use_ranges(folder: Path) -> None:
    hexconv.convert(_of_one_input(), ranges=folder / "m.ranges")


def _yaml(random: Random) -> seeds.Files:
    text = preset(random.choice(("conformer_dsp", "hifigan_dsp"))).read_text("utf-8")
    if random.random() < 0.5:
        return {"m.yml": damaged(text.encode(), random)}
    return {"m.yml": reworded(text, random).encode("utf-8", "surrogatepass")}


def _use_yaml(folder: Path) -> None:
    try:
        asked = read_deployment(folder / "m.yml")
        asked.check_file()
    except HexconvError as error:
        assert str(error)
    convert_deployment(folder / "m.yml")


def _config(random: Random) -> seeds.Files:
    text = vocoder_config.V1.to_json()
    kind = random.randrange(12)
    if kind == 0:
        return {"m.json": b"[" * random.choice((900, 5000, 200_000))}
    if kind < 6:
        return {"m.json": damaged(text.encode(), random)}
    return {"m.json": reworded(text, random).encode("utf-8", "surrogatepass")}


def _use_config(folder: Path) -> None:
    assert vocoder_config.read(folder / "m.json").receptive_frames


def _log(random: Random) -> seeds.Files:
    text = seeds.log(random)
    if random.random() < 0.03:
        text = text.replace("n3", "n" * random.choice((131_072, 300_000)))
    if random.random() < 0.5:
        return {"m.log": damaged(text.encode(), random)}
    return {"m.log": reworded(text, random).encode("utf-8", "surrogatepass")}


def _use_log(folder: Path) -> None:
    found = read_log(folder / "m.log")
    assert found.total is not None and found.by_type is not None


def _sound(random: Random) -> seeds.Files:
    return {"m.wav": damaged(seeds.sound(random), random)}


def _use_sound(folder: Path) -> None:
    from hexconv.models import wav

    wav.read(folder / "m.wav", 22050)


def _records(random: Random) -> seeds.Files:
    import struct

    tensor = struct.pack("<5I", 1, 1, 1, 4, 4) + b"abcd"
    text = b"".join(
        struct.pack("<4sI", tag, len(body)) + body + bytes(-len(body) % 4)
        for tag, body in (
            (b"OP  ", struct.pack("<iI", 1, 2) + b"Nop"),
            (b"TRY ", struct.pack("<Ii", 5, 0)),
            (b"LIST", struct.pack("<I", 1) + b"a list"),
            (b"RUN ", tensor),
            (b"PERF", struct.pack("<5I", 1, 2, 3, 4, 5)),
            (b"FAIL", struct.pack("<IIiI", 2, 1, -1, 0) + b"why"),
            (b"DONE", b""),
        )
    )
    return {"m.records": damaged(text, random)}


def _use_records(folder: Path) -> None:
    read_records((folder / "m.records").read_bytes(), [Slot(4, "uint8")])


def _library(random: Random) -> seeds.Files:
    return {"m.so": damaged(Path(LIBRARY).read_bytes()[: 1 << 16], random)}


def _use_library(folder: Path) -> None:
    checked_library(folder / "m.so", (folder / "m.so").read_bytes())


FORMATS: dict[str, Format] = {
    "onnx": Format(_onnx_fields, _use_onnx),
    "onnx-bytes": Format(_onnx_bytes, _use_onnx),
    "pb": Format(_pb_fields, _use_pb),
    "pb-bytes": Format(_pb_bytes, _use_pb),
    "npy": Format(_arrays, _use_arrays),
    "raw": Format(_raw, _use_raw),
    "ranges": Format(_ranges, _use_ranges),
    "yaml": Format(_yaml, _use_yaml),
    "config": Format(_config, _use_config),
    "log": Format(_log, _use_log),
    "sound": Format(_sound, _use_sound),
    "records": Format(_records, _use_records),
    "checkpoint": Format(stored.checkpoint, stored.use_checkpoint),
    "statistics": Format(lambda r: stored.statistics(_of_one_input(), r), stored.use_statistics),
    "reference": Format(lambda r: stored.reference(_of_one_input(), r), stored.use_reference),
}
if LIBRARY:
    FORMATS["library"] = Format(_library, _use_library)
