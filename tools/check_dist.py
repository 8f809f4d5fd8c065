"""Build the sdist and the wheel from a clean clone, check them, and try the wheel as a user would.

    python tools/check_dist.py [--version 0.2.0] [--output dist]
    python tools/check_dist.py --try dist

The release workflow and CI run this. It needs a network, for the build tools and dependencies, and
leaves nothing behind but the output folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("build", "twine", "check-wheel-contents")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", help="that the release must have")
    parser.add_argument("--output", type=Path, help="folder for both files")
    parser.add_argument("--try", dest="tried", type=Path, help="only try the wheel in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        dist = options.tried or built(work, options.version)
        try_wheel(next(dist.glob("*.whl")).resolve(), work)
        if options.output:
            shutil.copytree(dist, options.output, dirs_exist_ok=True)


def built(work: Path, version: str | None) -> Path:
    """Both files, built twice from a clone of what is committed, and checked."""
    python = environment(work / "tools", *TOOLS)
    run("git", "clone", "--quiet", str(ROOT), str(work / "clone"))
    builds = [build(python, work / "clone", work / name) for name in ("first", "second")]
    digests = [{path.name: digest(path) for path in sorted(folder.iterdir())} for folder in builds]
    if digests[0] != digests[1]:
        sys.exit(f"two builds differ: {digests}")
    for name, value in digests[0].items():
        print(f"{value}  {name}")
    if version and not all(f"-{version}" in name for name in digests[0]):
        sys.exit(f"the tag says {version}: {sorted(digests[0])}")
    files = [str(path) for path in builds[0].iterdir()]
    run(python, "-m", "twine", "check", "--strict", *files)
    run(python, "-m", "check_wheel_contents", *(path for path in files if path.endswith(".whl")))
    return builds[0]


def build(python: str, source: Path, target: Path) -> Path:
    """The sdist, and the wheel that is built from it."""
    run(python, "-m", "build", "--outdir", str(target), str(source))
    return target


def try_wheel(wheel: Path, work: Path) -> None:
    """In a new environment, from a folder without the sources: convert, simulate, check."""
    python = environment(work / "user", str(wheel))
    hexconv = str(Path(python).with_name("hexconv"))
    run(python, "-m", "pip", "check")
    run(hexconv, "--version", cwd=work)
    run(hexconv, "demo", "-o", "demo", cwd=work)
    run(hexconv, "simulate", "demo/reference_encoder.pb", "--input", "demo/samples", cwd=work)
    run(hexconv, "check", "demo/reference_encoder.onnx", "-q", cwd=work)
    run(hexconv, "cost", "demo/reference_encoder.pb", "-q", cwd=work)
    print(f"{wheel.name} converts and simulates on Python {sys.version.split()[0]}")


def environment(folder: Path, *packages: str) -> str:
    """The Python of a new virtual environment with these packages."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return python


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a command; end with its output if it fails. No checkout is importable in it."""
    around = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=around, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
