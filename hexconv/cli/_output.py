"""Where a command writes: looked at when the command line is read, before the work."""

from __future__ import annotations

from os import fsdecode
from pathlib import Path
from typing import Any

import click


class OutputFile(click.Path):
    """An option that names a file to write."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path.

        Raises:
            FileError: nothing can be written there.
        """
        path = Path(fsdecode(super().convert(value, param, ctx)))
        self.check(path)
        return path

    def check(self, path: Path) -> None:
        """Raise a FileError where no file can be written."""
        from hexconv.files import check_file

        check_file(path)


class OutputFolder(OutputFile):
    """An option that names a folder to write files into."""

    def check(self, path: Path) -> None:
        """Raise a FileError where the folder cannot be made, or not be written."""
        from hexconv.files import check_folder

        check_folder(path)
