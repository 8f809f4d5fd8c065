"""The location of hexconv's own data files, in an installed wheel or a source checkout."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from hexconv.distribution import REINSTALL, foreign
from hexconv.errors import FileError

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOP_LEVEL_KEY = re.compile(r"^(\w+):", re.MULTILINE)


@functools.cache
def folder(name: str) -> Path:
    """A folder of data: `op_tables` or `yml`.

    The wheel carries it inside the package (setup.py puts it there); in a checkout, and so in an
    editable install, it is next to the package.

    Raises:
        FileError: the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise _missing(name, package)


def _missing(name: str, package: Path) -> FileError:
    other = foreign()
    return FileError(
        f"hexconv's data folder '{name}' is missing",
        where=str(package),
        why=f"'{other}', another package, is installed into the same folder" if other else "",
        hint=f"install hexconv again: {REINSTALL}",
    )


class Entries(Mapping[str, Any]):
    """The top-level entries of all YAML files of a folder, each parsed on first access.

    A conversion uses a few dozen of several hundred entries; parsing all of them would cost
    more than the conversion's own work on a small model. Files contain one mapping each, whose keys
    start in column 0, and no anchor is used across entries; a test enforces that.
    """

    def __init__(self, path: Path) -> None:
        self._text: dict[str, str] = {}
        self._file: dict[str, str] = {}
        self._parsed: dict[str, Any] = {}
        for file in sorted(path.glob("*.yml")):
            self._index(file)

    def _index(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        starts = list(_TOP_LEVEL_KEY.finditer(text))
        ends = [match.start() for match in starts[1:]] + [len(text)]
        for match, end in zip(starts, ends, strict=True):
            key = match.group(1)
            if key in self._text:
                raise FileError(f"two entries named '{key}'", where=str(file))
            self._text[key] = text[match.start() : end]
            self._file[key] = file.stem

    def __getitem__(self, key: str) -> Any:
        if key not in self._parsed:
            self._parsed[key] = yaml.load(self._text[key], Loader=_Loader)[key]
        return self._parsed[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._text)

    def __len__(self) -> int:
        return len(self._text)

    def __contains__(self, key: object) -> bool:
        return key in self._text

    def family(self, key: str) -> str:
        """The file that contains an entry, without its suffix."""
        return self._file[key]
