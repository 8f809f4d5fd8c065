"""Commands in forked processes, which a test may change first, and the folders that they leave."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from hexconv import __main__
from tests.forks import fork

CONVERT = "convert tiny.onnx --samples speech.npy"


def words(text: str, target: str = "") -> list[str]:
    return text.format(target).split()


def ended(text: str, before: Callable[[], object]) -> tuple[int, str]:
    """Exit code and stderr of a command in a forked process, in which `before` is called first."""
    read, write = os.pipe()
    child = fork()
    if child == 0:
        os.dup2(write, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 99
        before()
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", 1)
        sys.argv = ["hexconv", *words(text)]
        try:
            __main__.main()
        except SystemExit as end:
            code = int(str(end.code))
        except BaseException as error:
            os.write(2, repr(error).encode())
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as stream:
        said = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def files_in(folder: Path) -> dict[str, bytes]:
    """Content by name; where the folder is does not count."""
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(bytes(folder), b".")
        for path in folder.rglob("*")
        if path.is_file()
    }


def copied(folder: Path, name: str) -> Path:
    """A copy of a folder beside it."""
    return Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-{name}")))
