"""Time models of users' phones, stored under a name (calibration.py fits them)."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from hexconv.cost.terms import Terms
from hexconv.errors import ConfigError, FileError
from hexconv.files import write_files
from hexconv.nnlib.versions import LIBRARIES, LibraryVersion
from hexconv.paths import home, is_file

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class PhoneProfile:
    """The time model of a phone.

    Attributes:
        name: for `--soc`.
        library: the version of nnlib that the phone loads.
        terms: time of a node, a byte, a packet.
        factor: 80 % of the node types are predicted within it, either way.
        predicted_ms: of the log's model, by the terms.
        logged_ms: of the log's model, by the log.
        source: the log's file.
    """

    name: str
    library: LibraryVersion
    terms: Terms
    factor: float
    predicted_ms: float
    logged_ms: float
    source: str


def check_name(name: str) -> None:
    """Check that a name can be that of a profile.

    Raises:
        ConfigError: it cannot.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' cannot name a phone's profile", hint="use letters, digits, '-', '_' and '.'"
        )


def folder() -> Path:
    """The folder of the profiles: `$XDG_CONFIG_HOME/hexconv/phones`, or below `~/.config`."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else home() / ".config") / "hexconv" / "phones"


def path_of(name: str) -> Path:
    """The file of a profile."""
    return folder() / f"{name}.yml"


def store(profile: PhoneProfile) -> Path:
    """Write a profile to its file; return the path.

    Raises:
        FileError: it cannot be written.
    """
    path = path_of(profile.name)
    text = yaml.safe_dump(asdict(profile), sort_keys=False, allow_unicode=True)
    write_files({path: text.encode()})
    return path


def stored_profile(name: str) -> PhoneProfile | None:
    """The profile of a name, or None.

    Raises:
        FileError: its file is malformed.
    """
    path = path_of(name)
    if not NAME.fullmatch(name) or not is_file(path):
        return None
    return _read(path, path.stat().st_mtime_ns)


@functools.cache
def _read(path: Path, changed: int) -> PhoneProfile:
    """The profile in a file, cached until the file changes."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        profile = PhoneProfile(**{**values, "terms": Terms(**values["terms"])})
        if profile.library not in LIBRARIES:
            raise ValueError(f"'{profile.library}' is not a library")
        if not all(number >= 0 for number in [*asdict(profile.terms).values(), profile.factor - 1]):
            raise ValueError("a term is negative, or the factor below 1")
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise FileError(
            "this is not the profile of a phone",
            where=str(path),
            why=str(error).splitlines()[0],
            hint=f"make it again: cost MODEL.pb --calibrate phone.log --as {path.stem}",
        ) from error
    return profile


def stored_names() -> list[str]:
    """The names of all stored profiles that may be read."""
    try:
        return sorted(path.stem for path in folder().glob("*.yml"))
    except OSError:  # a folder that may not be looked into
        return []
