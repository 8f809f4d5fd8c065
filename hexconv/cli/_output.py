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
            FileError: no file can be written there.
        """
        from hexconv.files import check_file

        path = Path(fsdecode(super().convert(value, param, ctx)))
        check_file(path)
        return path


class OutputFolder(click.Path):
    """An option that names a folder to write files into."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path.

        Raises:
            FileError: the folder cannot be made, or not be written.
        """
        from hexconv.files import check_folder

        path = Path(fsdecode(super().convert(value, param, ctx)))
        check_folder(path)
        return path
