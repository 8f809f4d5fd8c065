"""What hexconv is called where it is installed from, and whether another package took its place.

The import name and the command are `hexconv`. On PyPI that name belongs to a package for
hexadecimal text that installs into a folder of the same name.
"""

from __future__ import annotations

import os
import sys

NAME = "hexconv-mace"
IMPORT_NAME = "hexconv"


def version() -> str:
    """The version of this package."""
    found: str = sys.modules[IMPORT_NAME].__version__  # imported before any of its modules
    return found


def pip_install(extra: str = "") -> str:
    """The command that installs hexconv, with an extra if one is named.

    >>> pip_install("export")
    "pip install 'hexconv-mace[export]'"
    """
    return f"pip install '{NAME}[{extra}]'" if extra else f"pip install {NAME}"


REINSTALL = f"pip uninstall -y {IMPORT_NAME} {NAME}, then {pip_install()}"


def foreign(site: str | None = None) -> str | None:
    """The other package named hexconv that is installed beside this one, with its version.

    Args:
        site: the folder that contains this package; only tests name another one.

    Returns:
        Such as `hexconv 0.3.1`, or None. Metadata is looked for beside the package alone: there
        the two share a folder, and either may have overwritten the other's files.
    """
    here = site or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    try:
        names = os.listdir(here)  # noqa: PTH208  (pathlib takes longer to import than the rest)
    except OSError:
        return None
    for name in names:
        project, _, version = name.removesuffix(".dist-info").partition("-")
        if name.endswith(".dist-info") and project == IMPORT_NAME:
            return f"{project} {version}"
    return None
