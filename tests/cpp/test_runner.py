"""The C++ runner itself: what it accepts and what it rejects."""

import shutil
import subprocess

import numpy as np
import onnx
import pytest

from hexconv.cpp import bench, onnxruntime, platforms
from hexconv.models import voice

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the runner, a model and a mel."""
    folder = tmp_path_factory.mktemp("cpp")
    onnx.save(voice.onnx_model(), folder / "voice.onnx")
    np.save(folder / "mel.npy", next(iter(voice.mels().values()))[:, :, :16])
    found = onnxruntime.find("linux", folder)
    job = platforms.Job(
        platform="linux",
        level="O0",
        graph="all",
        model=str(folder / "voice.onnx"),
        feed=str(folder / "mel.npy"),
        output=str(folder / "output.npy"),
        folder=str(folder),
        library=str(found.library),
        headers=str(found.headers) if found.headers else None,
        runs=1,
        threads=1,
    )
    bench.run_cpp(job, lambda line: None)
    return folder, job


def run(place, **changes):
    _, job = place
    arguments = {"--model": job.model, "--input": job.feed, "--library": job.library} | {
        f"--{name}": str(value) for name, value in changes.items()
    }
    flat = [part for pair in arguments.items() for part in pair]
    return subprocess.run([job.runner, *flat], capture_output=True, text=True, check=False)


def test_it_prints_time_and_shape(place):
    done = run(place)
    assert done.returncode == 0
    assert "c++ cost time: " in done.stdout and "output tensor shape: 1x1x4096" in done.stdout


def test_its_output_is_pythons(place):
    folder, job = place
    feed = bench.read_feed(folder / "mel.npy")
    _, expected = bench.run_python(folder / "voice.onnx", feed, "all", 1, 0, 1)
    assert np.allclose(np.load(job.output), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(), (0,), (1, 80, 0), (80,), (1, 7, 3), (2, 80, 4)])
def test_other_shapes_never_crash_it(place, shape):
    folder, _ = place
    np.save(folder / "odd.npy", np.zeros(shape, np.float32))
    assert run(place, input=folder / "odd.npy").returncode in (0, 1)


def test_npy_files_that_it_does_not_take_are_named(place):
    folder, _ = place
    whole = (folder / "mel.npy").read_bytes()
    kinds = {
        "empty": b"",
        "junk": b"junk" * 100,
        "header": whole[:9],
        "cut": whole[:-4],
        "long": whole + b"\0" * 4,
        "huge": whole[:8] + b"\xff\xff" + whole[10:],
    }
    for name, content in kinds.items():
        (folder / f"{name}.npy").write_bytes(content)
    np.save(folder / "double.npy", np.zeros((1, 80, 4)))
    np.save(folder / "fortran.npy", np.asfortranarray(np.zeros((80, 4), np.float32)))
    for name in (*kinds, "double", "fortran", "missing"):
        done = run(place, input=folder / f"{name}.npy")
        assert done.returncode == 1 and f"{name}.npy" in done.stderr


def test_models_and_libraries_that_it_does_not_take_are_errors(place):
    folder, _ = place
    assert run(place, model=folder / "none.onnx").returncode == 1
    assert run(place, model=folder / "mel.npy").returncode == 1
    assert run(place, library=folder / "mel.npy").returncode == 1


@pytest.mark.parametrize("wrong", [{"runs": 0}, {"runs": "many"}, {"graph": "most"}, {"speed": 3}])
def test_wrong_usage_is_reported(place, wrong):
    done = run(place, **wrong)
    assert done.returncode == 2 and "hexconv_run --model" in done.stderr


@pytest.mark.skipif(
    shutil.which("aarch64-linux-gnu-g++") is None, reason="the cross compiler is not installed"
)
def test_it_is_built_for_aarch64(place, tmp_path):
    _, job = place
    other = platforms.Job(
        **{**vars(job), "platform": "aarch64", "folder": str(tmp_path), "headers": None}
    )
    for command in platforms.build_commands(other):
        subprocess.run(command, check=True, capture_output=True)
    machine = (tmp_path / "hexconv_run").read_bytes()[18:20]
    assert machine == b"\xb7\x00"  # EM_AARCH64


def test_a_release_archive_is_linked(place, tmp_path, monkeypatch):
    """The archive's layout, with the wheel's library in it and our declarations for its header."""
    folder, job = place
    (tmp_path / "include").mkdir()
    (tmp_path / "lib").mkdir()
    shutil.copyfile(platforms.SOURCE / "src/ort_abi.h", tmp_path / "include/onnxruntime_c_api.h")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (tmp_path / "lib" / name).symlink_to(job.library)
    monkeypatch.setenv("ONNXRUNTIME_ROOT", str(tmp_path))
    found = onnxruntime.find("linux", folder)
    assert found.headers == tmp_path / "include"
    linked = platforms.Job(
        **{
            **vars(job),
            "folder": str(tmp_path / "build"),
            "library": str(found.library),
            "headers": str(found.headers),
        }
    )
    timing, _ = bench.run_cpp(linked, lambda line: None)
    assert timing.shape == (1, 1, 4096)
