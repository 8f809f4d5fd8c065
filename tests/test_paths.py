"""A path that no file can have, or that leads to a device, is one clear error for every reader."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import hexconv
from hexconv.calibrate.range_file import read_ranges
from hexconv.calibrate.statistics_file import read_statistics
from hexconv.cost.logs import read_log
from hexconv.cost.phones import stored_names, stored_profile
from hexconv.device.build import runner_path
from hexconv.device.elf import read_library
from hexconv.errors import ConfigError, FileError, HexconvError, ModelError
from hexconv.files import JOURNAL, TEMPORARY, complete, sha256_of, write_files
from hexconv.mace.deployment_file import preset, read_deployment
from hexconv.models import config
from hexconv.models.spectra import read as read_mel
from hexconv.native.compiler import built_path
from hexconv.numpy_files import read_numpy
from hexconv.onnx_graph import load
from hexconv.onnx_graph.read import whole_model
from hexconv.paths import exists, is_file, is_folder
from hexconv.raw_tensors import read_raw
from hexconv.refine import Score, journal_of
from hexconv.settings import Settings

ODD = {
    "null": "a\0b",
    "long": "n" * 300,
    "deep": "/".join(["d" * 200] * 30),
    "below a file": f"{__file__}/x",
}
DEVICES = ["/dev/zero", "/dev/full"]


def model(*weights: TensorProto) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [*weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def plain() -> onnx.ModelProto:
    return model(helper.make_tensor("w", TensorProto.FLOAT, [1, 4], [1.0] * 4))


READERS: dict[str, Callable[[str], object]] = {
    "check": hexconv.check,
    "load": hexconv.load,
    "load .pb": lambda path: hexconv.load(f"{path}.pb"),
    "samples": lambda path: hexconv.convert(plain(), samples=path),
    "ranges": read_ranges,
    "statistics": read_statistics,
    "a log": lambda path: read_log(Path(path)),
    "a library": lambda path: read_library(Path(path)),
    "a deployment": lambda path: read_deployment(Path(path)),
    "a config": config.read,
    "a raw tensor": lambda path: read_raw(Path(path), (1, 4)),
    "a mel": lambda path: read_mel(path, config.V1),
    "a raw mel": lambda path: read_mel(f"{path}.bin", config.V1),
    "an array": lambda path: read_numpy(path, "the array"),
    "a checksum": lambda path: sha256_of(Path(path)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ODD)
def test_a_path_that_no_file_can_have_is_an_error(reader: str, kind: str) -> None:
    with pytest.raises(HexconvError) as found:
        READERS[reader](ODD[kind])
    assert str(found.value)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "reader", [name for name in READERS if name not in ("load .pb", "a raw mel")]
)
def test_a_device_is_not_read_to_its_end(reader: str, device: str) -> None:
    with pytest.raises(HexconvError) as found:
        READERS[reader](device)
    assert str(found.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_not_waited_for(reader: str, tmp_path: Path) -> None:
    for suffix in ("", ".pb", ".bin"):
        os.mkfifo(tmp_path / f"x{suffix}")
    with pytest.raises(HexconvError, match="it is not a regular file"):
        READERS[reader](str(tmp_path / "x"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_named_as_a_temporary_file_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{TEMPORARY}1{JOURNAL}")
    write_files({tmp_path / "x": b"1"})
    complete(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_who_has_no_home_converts_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's user that is only a number; HOME that may not be looked into is as good."""

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert not is_file(built_path.__wrapped__()) and not is_file(runner_path())
    assert stored_profile("x") is None and stored_names() == []
    hexconv.convert(plain(), samples=[{"x": np.ones((1, 4), np.float32)}]).save(tmp_path)
    known = Score(1.0, ())
    assert journal_of("dsp", load(plain()), Settings(), [], {}).score(lambda: known) == known


@pytest.mark.parametrize("kind", ODD)
def test_whether_something_is_there_is_never_an_error(kind: str) -> None:
    assert not any(ask(ODD[kind]) for ask in (exists, is_file, is_folder))


@pytest.mark.parametrize("kind", ["null", "long"])
def test_a_file_that_cannot_be_named_is_not_written(kind: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="the output cannot be written"):
        write_files({tmp_path / ODD[kind]: b"1", tmp_path / "other": b"2"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("location", ["a\0b", "n" * 300, "\x1b[2J"], ids=["null", "long", "raw"])
@pytest.mark.parametrize("inside", [False, True], ids=["initializer", "attribute"])
@pytest.mark.parametrize("read", [hexconv.check, whole_model], ids=["check", "whole_model"])
def test_external_data_is_in_a_file_that_can_be_named(
    location: str, inside: bool, read: Callable[[Path], object], tmp_path: Path
) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    made = model(*([] if inside else [tensor]))
    if inside:
        made.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises((FileError, ModelError)) as found:
        read(tmp_path / "m.onnx")
    assert not {"\0", "\x1b"} & set(str(found.value))


def test_a_name_in_a_yaml_that_no_file_can_have_is_an_error(tmp_path: Path) -> None:
    text = preset("conformer_dsp").read_text("utf-8").replace("conformer.onnx", '"a\\0b"')
    (tmp_path / "m.yml").write_text(text, "utf-8")
    with pytest.raises((ConfigError, FileError)):
        hexconv.convert_deployment(tmp_path / "m.yml")
