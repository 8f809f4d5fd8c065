"""Builds: the wheel contains what is listed and runs, the sdist is the project, same bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
pytest.importorskip("hatch_fancy_pypi_readme")

ROOT = Path(__file__).parents[1]
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", ".gitignore")
FOLDERS = ("hexconv", "op_tables", "yml")
STRAY = ("hexconv/notes.txt", "hexconv/cli/convert.py.orig", "op_tables/onnx/.swp", "yml/a.log")
PROGRAM = (
    "import hexconv.op_table as t, hexconv.nnlib.ops as o, hexconv.resources as r\n"
    "assert t.load()['MatMul'].nnlib and o.spec('Supernode_8x8p32to8').id == 183\n"
    "print(r.folder('op_tables'))\n"
)
BUILD = (
    "import sys, os, hatchling.build as backend\n"
    "kind, umask, target = sys.argv[1:]\n"
    "os.umask(int(umask, 8))\n"
    "print(getattr(backend, f'build_{kind}')(target))\n"
)

pytestmark = pytest.mark.slow


def built(kind: str, source: Path, target: Path, umask: str = "022") -> Path:
    """The wheel or the sdist of a folder, by the build backend itself: no network."""
    target.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD, kind, umask, str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    return target / done.stdout.split()[-1]


def package_files(root: Path) -> set[str]:
    """The position of each file of the package in the wheel."""
    files = set()
    for folder in FOLDERS:
        inside = "" if folder == "hexconv" else "hexconv/"
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                files.add(inside + path.relative_to(root).as_posix())
    return files


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package alone."""
    folder = tmp_path_factory.mktemp("source")
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", source, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_package(source: Path, wheel: Path) -> None:
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert names == package_files(source)


def test_the_wheel_runs_where_it_is_unpacked(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(run.stdout.strip()) == tmp_path / "hexconv" / "op_tables"


@pytest.mark.parametrize("options", [("-c", "import hexconv"), ("-m", "hexconv", "--help")])
def test_an_archive_is_no_place_to_run_from(wheel: Path, options: tuple[str, ...]) -> None:
    run = subprocess.run(
        [sys.executable, *options],
        env={"PYTHONPATH": str(wheel)},
        cwd=wheel.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "hexconv reads files beside its code" in run.stderr.splitlines()[-1]
    assert options[0] == "-c" or "Traceback" not in run.stderr


def test_stray_files_umask_and_times_change_no_byte(
    source: Path, wheel: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(source, other)
    for name in STRAY:
        (other / name).write_text("stray")
    for path in other.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(path.stat().st_mode & 0o700)
    again = built("wheel", other, tmp_path / "wheel", umask="077")
    assert again.read_bytes() == wheel.read_bytes()


def test_the_long_description_links_to_nothing_beside_it(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith("METADATA"))
    text = archive.read(name).decode("utf-8")
    assert "](docs/" not in text and "](README" not in text and "](https://" in text
    images = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    assert images and all(url.startswith("https://raw.githubusercontent.com/") for url in images)


def test_setup_py_builds_the_same_wheel_through_pip(
    source: Path, wheel: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "source"
    shutil.copytree(source, folder)
    command = [sys.executable, "setup.py", "bdist_wheel", "--no-build-isolation", "--no-index"]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    (made,) = (folder / "dist").iterdir()
    assert made.read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize(("command", "code"), [("--help", 0), ("upload", 2)])
def test_setup_py_lists_its_commands(command: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "setup.py", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == code and "python setup.py develop" in done.stdout


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_sdist_is_the_project_and_builds_the_same_wheel(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = {n for n in listed.split("\0") if n and (ROOT / n).exists()}
    clean = tmp_path / "clean"
    for name in names:
        (clean / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clean / name)
    sdist = built("sdist", clean, tmp_path / "dist")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):  # Debian 12's Python is older than it
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    inside = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*") if p.is_file()}
    assert inside - {"PKG-INFO"} == names
    wheels = [built("wheel", folder, tmp_path / folder.name) for folder in (clean, unpacked)]
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
