"""The compiled passes compute what NumPy computes, bit for bit, and nothing depends on them."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hexconv
from hexconv import native
from hexconv.arrays import Array
from hexconv.errors import HexconvError
from hexconv.native import compiler, passes
from hexconv.nnlib.graph import Padding
from hexconv.nnlib.prepare import prepare
from hexconv.simulator.executor import Executor
from hexconv.simulator.run_op import run_op
from tests.golden_cases import RECORDED, Case, cases
from tests.nnlib.random_graphs import Generator

LIBRARIES = ("v60", "v66")


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test runs with the compiled passes, and with work shared whatever its size."""
    if native.ensure() is None:
        pytest.skip(native.status())
    for name in ("PARALLEL_VALUES", "PARALLEL_ROWS", "PARALLEL_PRODUCTS", "PARALLEL_TAPS"):
        monkeypatch.setattr(passes, name, 1)
    yield


def both(op: str, arrays: list[Array], padding: str = "NN_PAD_NA", library: str = "v60") -> None:
    """The compiled and NumPy's results are the same bytes."""
    compiled = run_op(op, arrays, padding, library)
    with native.disabled():
        plain = run_op(op, arrays, padding, library)
    assert_same(compiled, plain)


def assert_same(compiled: list[Array], plain: list[Array]) -> None:
    assert len(compiled) == len(plain)
    for mine, reference in zip(compiled, plain, strict=True):
        assert (mine.dtype, mine.shape) == (reference.dtype, reference.shape)
        assert mine.tobytes() == reference.tobytes()


def scalar(value: float) -> Array:
    return np.full((1, 1, 1, 1), value, np.float32)


def outcome(case: Case) -> list[Array] | str:
    """What the simulator computes, or says."""
    try:
        return case.run()
    except HexconvError as error:
        return str(error)


@pytest.mark.parametrize("op", RECORDED)
def test_recorded_cases_come_out_the_same(op: str) -> None:
    for case in cases(op):
        compiled = outcome(case)
        with native.disabled():
            plain = outcome(case)
        if isinstance(compiled, str) or isinstance(plain, str):
            assert compiled == plain, case.name
        else:
            assert_same(compiled, plain)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_come_out_the_same(seed: int) -> None:
    graph, feeds = Generator(seed).graph()
    library = LIBRARIES[seed % 2]
    try:
        prepared = prepare(graph, library)
        compiled = Executor(prepared, library).run(feeds)
    except HexconvError:
        pytest.skip("the library rejects this graph")
    with native.disabled():
        plain = Executor(prepared, library).run(feeds)
    assert_same(compiled, plain)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("seed", range(60))
def test_convolutions_of_any_shape(seed: int, library: str) -> None:
    """Also with sums that overflow, and gains above one."""
    draw = np.random.default_rng(seed)
    kh, kw, height, width = draw.integers(1, 6), draw.integers(1, 6), *draw.integers(5, 14, 2)
    depth, channels = int(draw.integers(5, 70)), int(draw.integers(1, 140))
    low, high = -float(draw.uniform(0, 2)), float(draw.uniform(0.01, 2))
    reach, most_bias = 10.0 ** float(draw.uniform(-8, 2)), int(draw.choice([1, 2**28]))
    arrays = [
        draw.integers(0, 256, (int(draw.integers(1, 3)), height, width, depth), np.uint8),
        draw.integers(0, 256, (kh, kw, depth, channels), np.uint8),
        *map(scalar, (low, high, -float(draw.uniform(0.1, 1)), float(draw.uniform(0.1, 1)))),
        np.zeros((1, draw.integers(1, 4), draw.integers(1, 4), 1), np.uint8),
        draw.integers(-most_bias, most_bias, (1, 1, 1, channels), np.int32),
        *map(scalar, (-1.0, 1.0, -reach, reach)),
    ]
    both("Supernode_8x8p32to8", arrays, ("NN_PAD_SAME", "NN_PAD_VALID")[seed % 2], library)


@pytest.mark.parametrize("given", [True, False], ids=["range given", "range found"])
def test_the_convolution_of_an_image(given: bool) -> None:
    draw = np.random.default_rng(3)
    ends = (-2.0, 5.0) if given else (-np.inf, np.inf)
    arrays = [
        draw.integers(0, 256, (1, 15, 16, 3), np.uint8),
        draw.integers(0, 256, (3, 3, 3, 32), np.uint8),
        *map(scalar, (-1.3, 1.1, -0.4, 0.7)),
        np.zeros((1, 2, 2, 1), np.uint8),
        draw.integers(-(2**28), 2**28, (1, 1, 1, 32), np.int32),
        *map(scalar, (-1.0, 1.0, *ends)),
    ]
    both("Supernode_8x8p32to8", arrays, "NN_PAD_SAME")


@pytest.mark.parametrize("seed", range(30))
def test_depthwise_convolutions_of_any_shape(seed: int) -> None:
    draw = np.random.default_rng(seed)
    kh, kw = int(draw.integers(2, 6)), int(draw.choice([3, 5, 7]))
    depth, stride = int(draw.integers(1, 100)), int(draw.integers(1, 3))
    arrays = [
        draw.integers(0, 256, (2, *draw.integers(7, 15, 2), depth), np.uint8),
        draw.integers(0, 256, (kh, kw, depth, 1), np.uint8),
        *map(scalar, (-1.3, 1.1, -0.4, 0.7)),
        np.zeros((1, stride, stride, 1), np.uint8),
        draw.integers(-(2**28), 2**28, (1, 1, 1, depth), np.int32),
        *map(scalar, (-1.0, 1.0, -2.0, 10.0 ** float(draw.uniform(-1, 1)))),
    ]
    both("DepthwiseSupernode_8x8p32to8", arrays, ("NN_PAD_SAME", "NN_PAD_VALID")[seed % 2])


ELEMENTWISE = ["QuantizedAdd_8p8to8", "QuantizedSub_8p8to8", "QuantizedMul_8x8to8"]
SHAPES = [
    ((2, 3, 5, 37), (2, 3, 5, 37)),
    ((2, 3, 5, 37), (1, 1, 1, 37)),
    ((2, 3, 5, 37), (1, 3, 1, 1)),
    ((2, 3, 5, 37), (2, 1, 5, 1)),
    ((1, 1, 1, 1), (1, 4, 1, 3)),
    ((2, 1, 5, 8), (2, 3, 5, 8)),
    ((1, 1, 1, 1), (1, 1, 1, 1)),
]


@pytest.mark.parametrize("op", ELEMENTWISE)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("given", [True, False], ids=["range given", "range found"])
def test_sums_and_products_that_stretch(op: str, shapes: tuple, given: bool) -> None:
    draw = np.random.default_rng(len(op))
    a, b = (draw.integers(0, 256, shape, np.uint8) for shape in shapes)
    ranges = [scalar(v) for v in (-1.5, 2.0, -0.7, 1.0, *((-1.9, 2.7) if given else ()))]
    both(op, [a, b, *ranges])


@pytest.mark.parametrize("depth", [1, 5, 64, 300])
def test_slopes_softmax_and_tables(depth: int) -> None:
    draw = np.random.default_rng(depth)
    x = draw.integers(0, 256, (2, 3, 7, depth), np.uint8)
    slopes = draw.uniform(-2, 2, (1, 1, 1, depth)).astype(np.float32)
    both("QuantizedPRelu_8", [x, scalar(-3), scalar(2), slopes])
    for library in LIBRARIES:
        both("QuantizedSoftmax_8", [x, scalar(-9), scalar(5), scalar(1)], library=library)
    both("QuantizedSigmoid_8", [x, scalar(-4), scalar(6)])
    both("Dequantize", [x, scalar(-4), scalar(6)])


@pytest.mark.parametrize("shape", [(1, 1, 1, 7), (2, 5, 9, 40)], ids=str)
def test_matrices_of_two_computed_operands(shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(1)
    a = draw.integers(0, 256, shape, np.uint8)
    b = draw.integers(0, 256, (*shape[:2], shape[3], 33), np.uint8)
    ranges = [scalar(v) for v in (-1.5, 2.0, -0.7, 1.0)]
    both("QuantizedBatchMatMul_8x8to32", [a, b, *ranges])


def test_inputs_that_cannot_be_written_are_read() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 4, 64)
    x.flags.writeable = False
    both("QuantizedSigmoid_8", [x, scalar(-4), scalar(6)])


OLDER = [("-march=haswell",), ("-march=x86-64",), ("-march=x86-64", "-DPLAIN_C")]


@pytest.mark.parametrize("flags", OLDER, ids=" ".join)
def test_what_other_cpus_run_computes_the_same(flags: tuple[str, ...], tmp_path: Path) -> None:
    library = tmp_path / "older.so"
    command = [*next(compiler.compilers()), *compiler.FLAGS, *flags]
    if compiler.run_compiler(command, library):
        pytest.skip("no x86 compiler")
    older = passes.Passes(library)
    assert older.isa != "avx512-vnni"
    for seed in range(10):
        assert_product(older, seed)


def assert_product(found: passes.Passes, seed: int) -> None:
    """Products of every remainder of rows, depth and channels are the integer ones."""
    draw = np.random.default_rng(seed)
    rows, depth, channels = (int(draw.integers(1, most)) for most in (60, 40, 150))
    a = draw.integers(0, 256, (rows, depth), np.uint8)
    b = draw.integers(0, 256, (depth, channels), np.uint8)
    zeros = tuple(int(zero) for zero in draw.integers(0, 256, 2))
    sums = (a.astype(np.int64) - zeros[0]) @ (b.astype(np.int64) - zeros[1])
    np.testing.assert_array_equal(found.multiply_matrices(a, b, zeros), sums)


def probe(cache: Path, program: str, **environment: str) -> str:
    """What a fresh process prints, its cache in its own folder."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(hexconv.__file__).parents[1]), "XDG_CACHE_HOME": str(cache)}
        | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


STATUS = "from hexconv import native; print(native.status())"
ASKED = "from hexconv import native; native.ensure(); print(native.status())"


def test_nothing_is_built_until_numpy_has_taken_as_long_as_a_build(tmp_path: Path) -> None:
    spent = "from hexconv import native\nnative.spent({})\nprint(native.status())"
    path = {"PATH": str(Path(next(compiler.compilers())[0]).parent), "CC": "false"}
    assert "not built yet" in probe(tmp_path, spent.format(0.5), **path)
    assert "not built yet" not in probe(tmp_path, spent.format(2.5), **path)


def test_without_a_compiler_numpy_computes(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['ziglang'] = None\n"
    found = probe(tmp_path, hidden + ASKED, PATH="/nowhere")
    assert found.startswith("NumPy (")


def test_a_cache_that_cannot_be_written_leaves_numpy(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "NumPy (the cache directory cannot be written" in probe(blocked, ASKED)


def test_a_damaged_library_is_not_used(tmp_path: Path) -> None:
    place = tmp_path / "hexconv" / compiler.built_path().name
    place.parent.mkdir()
    place.write_bytes(b"no library")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    assert "cannot be loaded" in probe(tmp_path, STATUS)


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    assert probe(tmp_path, ASKED, HEXCONV_NATIVE="0") == "NumPy (HEXCONV_NATIVE=0)"


def test_a_padding_wider_than_the_image_is_filled_with_the_zero_point() -> None:
    x = np.full((1, 2, 2, 3), 200, np.uint8)
    arrays = [
        x,
        np.full((5, 5, 3, 4), 130, np.uint8),
        *map(scalar, (-1, 1, -1, 1)),
        np.zeros((1, 1, 1, 1), np.uint8),
        np.zeros((1, 1, 1, 4), np.int32),
        *map(scalar, (-1, 1, -1, 1)),
    ]
    both("Supernode_8x8p32to8", arrays, Padding.SAME.value)
