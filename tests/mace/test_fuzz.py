"""Damaged files of every format that hexconv reads: one clear error, or a model that is sound."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hexconv
from hexconv.calibrate import read_ranges
from hexconv.errors import HexconvError
from hexconv.mace.deployment_file import preset, read_deployment
from hexconv.model import Model
from hexconv.models.encoder import EncoderConfig, reference_encoder, sample_speech
from hexconv.nnlib.check import check as check_graph

CONFIG = EncoderConfig(
    frames=6, bands=8, channels=4, width=16, heads=2, feed_forward=32, blocks=1, labels=10
)
FUZZ = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with m.onnx, m.pb, m.data, m.yml and m.ranges."""
    folder = tmp_path_factory.mktemp("fuzz")
    onnx.save(reference_encoder(CONFIG), folder / "m.onnx")
    samples = [{"speech": x} for x in sample_speech(1, CONFIG)]
    hexconv.convert(folder / "m.onnx", samples=samples).save(folder)
    return folder


def damage(content: bytes, seed: int) -> bytes:
    """Cut, flip, swap, repeat or insert some bytes."""
    rng = random.Random(seed)
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            del data[at:]
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del data[at : at + rng.randrange(1, 20)]
        elif kind == 3:
            data[at:at] = data[at : at + rng.randrange(1, 40)]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        if not data:
            break
    return bytes(data)


def sound(model: Model) -> None:
    """A graph that loads must be rejected by the check, or run."""
    check_graph(model.graph)
    shapes = {item.name: item.shape for item in model.graph.inputs}
    if all(np.prod(shape) < 1e5 for shape in shapes.values()):
        hexconv.simulate(model, {n: np.zeros(s, np.float32) for n, s in shapes.items()})


@FUZZ
@given(seed=st.integers(0, 10**9))
def test_a_damaged_pb(built: Path, tmp_path: Path, seed: int) -> None:
    (tmp_path / "m.pb").write_bytes(damage((built / "m.pb").read_bytes(), seed))
    (tmp_path / "m.data").write_bytes((built / "m.data").read_bytes())
    try:
        sound(hexconv.load(tmp_path / "m.pb"))
    except HexconvError as error:
        assert str(error)


@FUZZ
@given(seed=st.integers(0, 10**9))
def test_a_damaged_data_file(built: Path, tmp_path: Path, seed: int) -> None:
    (tmp_path / "m.pb").write_bytes((built / "m.pb").read_bytes())
    (tmp_path / "m.data").write_bytes(damage((built / "m.data").read_bytes(), seed))
    try:
        sound(hexconv.load(tmp_path / "m.pb"))
    except HexconvError as error:
        assert str(error)


@FUZZ
@given(seed=st.integers(0, 10**9))
def test_a_damaged_yaml(built: Path, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "m.yml"
    for source in (built / "m.yml", preset("conformer_dsp")):
        path.write_bytes(damage(source.read_bytes(), seed))
        try:
            asked = read_deployment(path)
            asked.check_file()
            asked.check_model({"speech": (1, 6, 8)}, ["fa_out"])
        except HexconvError as error:
            assert str(error)


@FUZZ
@given(seed=st.integers(0, 10**9))
def test_a_damaged_range_file(built: Path, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "m.ranges"
    path.write_bytes(damage((built / "m.ranges").read_bytes(), seed))
    try:
        assert all(low <= high for low, high in read_ranges(path).values())
    except HexconvError as error:
        assert str(error)


@settings(FUZZ, max_examples=30)
@given(seed=st.integers(0, 10**9))
def test_a_damaged_onnx_file(built: Path, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(damage((built / "m.onnx").read_bytes(), seed))
    ranges = {"speech": (-1.0, 1.0)}
    try:
        hexconv.convert(path, ranges=None, input_ranges=ranges)
    except HexconvError as error:
        assert str(error)


@FUZZ
@given(text=st.text(max_size=200))
def test_any_text_as_a_yaml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.yml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(HexconvError):
        read_deployment(path)
