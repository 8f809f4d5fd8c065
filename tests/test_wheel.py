"""What `pip install` brings: the package, its tables, presets, C sources and templates."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
FOLDERS = ("hexconv", "op_tables", "yml")
PROGRAM = (
    "import hexconv.op_table as t, hexconv.nnlib.ops as o, hexconv.resources as r\n"
    "assert t.load()['MatMul'].nnlib and o.spec('Supernode_8x8p32to8').id == 183\n"
    "print(r.folder('op_tables'))\n"
)


@pytest.mark.slow
def test_a_wheel_carries_the_data_and_reads_it(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, cwd=tmp_path)

    installed = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    for folder in FOLDERS:
        inside = "" if folder == "hexconv" else "hexconv/"
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert inside + path.relative_to(ROOT).as_posix() in installed

    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(run.stdout.strip()) == target / "hexconv" / "op_tables"
