"""A phone for each test, MACE built for it, and small models."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.cli import group
from hexconv.nnlib.versions import LIBRARIES

HERE = Path(__file__).parent
REPOSITORY = Path(hexconv.__file__).parents[1]


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@dataclass
class FakePhone:
    """What the stand-in for adb plays."""

    root: Path
    config: Path
    mace: Path
    told: dict[str, Any] = field(default_factory=dict)

    def set(self, **changes: Any) -> None:
        """Change how the phone behaves."""
        self.told.update(changes)
        self.config.write_text(json.dumps(self.told))

    def behave(self, text: str) -> None:
        """Change how mace_run behaves."""
        (self.root / "behaviour").write_text(text)

    def soc(self, number: str) -> None:
        """Change its processor."""
        (self.root / "sys/devices/soc0/soc_id").write_text(number + "\n")

    @property
    def calls(self) -> list[list[str]]:
        """What adb was called with."""
        log = self.root / "adb.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


PROPERTIES = """\
case "$1" in
ro.product.cpu.abilist) cat "$PHONE/abilist" ;;
ro.board.platform) echo msmnile ;;
esac
"""


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePhone:
    """A phone with an SD855 that runs everything, MACE's build in `mace`."""
    root, mace = tmp_path / "phone", tmp_path / "mace"
    for folder in ("data/local/tmp", "sys/devices/soc0", "bin"):
        (root / folder).mkdir(parents=True)
    (root / "abilist").write_text("arm64-v8a,armeabi-v7a,armeabi\n")
    (root / "logcat.txt").write_text(
        "11-22 16:31:06.001  1  1 I Other   : MACE is not named here\n"
    )
    executable(root / "bin/getprop", f"#!/bin/sh\n{PROPERTIES}")
    executable(root / "bin/logcat", '#!/bin/sh\ncat "$PHONE/logcat.txt"\n')
    executable(root / "bin/df", '#!/bin/sh\ncat "$PHONE/df"\n')
    (root / "df").write_text(
        "Filesystem 1K-blocks Used Available Use% Mounted on\n"
        "/dev/block/dm-5 1 1 9000000 1% /data\n"
    )
    install = mace / "build/cmake-build/arm64-v8a/install"
    python = f"#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} "
    executable(install / "bin/mace_run", f'{python}{HERE / "mace_run_standin.py"} "$@"\n')
    libraries = [install / "lib/libc++_shared.so"]
    libraries += [mace / "third_party/nnlib/arm64-v8a/libhexagon_controller.so"]
    nnlib = mace / "third_party/nnlib"
    libraries += [nnlib / version / "libhexagon_nn_skel.so" for version in LIBRARIES]
    for path in libraries:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.parent.name)
    adb = executable(
        tmp_path / "bin/adb",
        f'#!/bin/sh\nexec {sys.executable} -I -S {HERE / "adb_standin.py"} "$@"\n',
    )
    monkeypatch.setenv("ADB", str(adb))
    monkeypatch.setenv("FAKE_PHONE", str(tmp_path / "phone.json"))
    monkeypatch.delenv("MACE", raising=False)
    monkeypatch.chdir(tmp_path)
    made = FakePhone(root, tmp_path / "phone.json", mace)
    made.set(root=str(root), phones=[["R58M12345", "device"]])
    made.soc("339")
    made.behave("ok")
    return made


def random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def speech(folder: Path) -> Path:
    """A model of an input of 3 axes, saved."""
    node = helper.make_node("MatMul", ["speech", "w"], ["fa_out"])
    return saved(
        folder, "net", [node], {"speech": (1, 9, 16)}, {"fa_out": (1, 9, 8)}, {"w": random(16, 8)}
    )


def image(folder: Path, **settings: Any) -> Path:
    """A model of an image and a vector, with two outputs."""
    nodes = [
        helper.make_node("Conv", ["an image", "w"], ["/conv.1:0"], pads=[1, 1, 1, 1]),
        helper.make_node("MatMul", ["x", "v"], ["y"]),
    ]
    inputs = {"an image": (1, 3, 8, 6), "x": (7,)}
    outputs = {"/conv.1:0": (1, 5, 8, 6), "y": (4,)}
    weights = {"w": random(5, 3, 3, 3), "v": random(7, 4)}
    return saved(folder, "two", nodes, inputs, outputs, weights, **settings)


_MADE: dict[str, Path] = {}
"""Converted models, by what they were made of: each is converted once."""


def saved(folder: Path, name: str, *made_of: Any, **settings: Any) -> Path:
    """A converted model in `folder/build`, samples of its inputs beside that."""
    key = f"{name} {made_of} {settings}"
    if key not in _MADE:
        _MADE[key] = Path(tempfile.mkdtemp())
        converted(_MADE[key], name, *made_of, **settings)
    shutil.copytree(_MADE[key], folder, dirs_exist_ok=True)
    return folder / "build" / f"{name}.pb"


@pytest.fixture(scope="session", autouse=True)
def _tidy() -> Iterator[None]:
    yield
    for folder in _MADE.values():
        shutil.rmtree(folder)


def converted(
    folder: Path,
    name: str,
    nodes: list[Any],
    inputs: dict[str, tuple[int, ...]],
    outputs: dict[str, tuple[int, ...]],
    weights: dict[str, Any],
    **settings: Any,
) -> None:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        name,
        [info(n, TensorProto.FLOAT, shape) for n, shape in inputs.items()],
        [info(n, TensorProto.FLOAT, shape) for n, shape in outputs.items()],
        [numpy_helper.from_array(array, n) for n, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / f"{name}.onnx")
    feeds = {n: random(*shape) for n, shape in inputs.items()}
    hexconv.convert(folder / f"{name}.onnx", samples=[feeds], **settings).save(folder / "build")
    for n, array in feeds.items():
        np.save(folder / f"{n.replace(' ', '_')}.npy", array)


def run(*arguments: object) -> Result:
    """As the command line would; a HexconvError stays an exception of the result."""
    return CliRunner().invoke(group, ["phone", *map(str, arguments)], env={"COLUMNS": "120"})
