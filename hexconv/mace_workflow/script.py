"""Run one of MACE's Python scripts unchanged, some of its functions replaced."""

from __future__ import annotations

import ast
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hexconv.errors import ConfigError, FileError

Makers = Mapping[str, Callable[[Any], Any]]
"""What makes a replacement of a function, by the function's name."""

PACKAGES = {"yaml": "pyyaml", "google": "protobuf"}
"""Packages by the name that is imported, where they differ."""

USUAL = ("filelock", "jinja2", "numpy", "sh", "six", "yaml")
"""What MACE's scripts import (its docs/installation/env_requirement.rst)."""


def mace_root(script: Path) -> Path:
    """The source folder of MACE that a script belongs to.

    Raises:
        FileError: there is no such script.
        ConfigError: it is none of MACE's.
    """
    if not script.is_file():
        raise FileError("there is no such script", where=str(script))
    if script.suffix != ".py":
        raise _not_maces(script, "it is no Python file")
    for folder in script.resolve().parents:
        if (folder / "tools" / "python" / "utils" / "config_parser.py").is_file():
            return folder
    raise _not_maces(script, "no folder above it has tools/python/utils/config_parser.py")


def _not_maces(script: Path, why: str) -> ConfigError:
    return ConfigError(
        "this is none of MACE's scripts",
        where=str(script),
        why=why,
        hint="give one of a MACE checkout, such as MACE/tools/python/run_model.py",
    )


def run_script(script: Path, arguments: Sequence[str], makers: Makers, root: Path) -> None:
    """Run a script as `python SCRIPT ARGUMENTS` would.

    Its functions, and those of the modules of `root` that it imports, are replaced between their
    definition and the script's `if __name__ == "__main__"`.

    Raises:
        ConfigError: a package that it needs is missing.
        Exception, SystemExit: what the script raises.
    """
    source = script.read_text(encoding="utf-8")
    main = types.ModuleType("__main__")
    main.__file__ = str(script)
    before = sys.argv, list(sys.path), sys.modules["__main__"]
    sys.argv = [str(script), *arguments]
    sys.path[:0] = _folders(script, root)
    sys.modules["__main__"] = main
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            _execute(ast.parse(source, str(script)), main, makers, root)
    except ModuleNotFoundError as error:
        raise _missing(str(error.name).split(".")[0], script) from error
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = before


def _missing(name: str, script: Path) -> ConfigError:
    """The error of a package that is not installed; its hint names the others that are not."""
    absent = (usual for usual in USUAL if usual not in sys.modules and find_spec(usual) is None)
    packages = sorted(PACKAGES.get(each, each) for each in {name, *absent})
    return ConfigError(
        f"MACE's script needs the Python package '{name}'",
        where=str(script),
        hint=f"pip install {' '.join(packages)}",
    )


def _folders(script: Path, root: Path) -> list[str]:
    """Where a script's modules are: tools/converter.py adds the second from MACE's root only."""
    return list(dict.fromkeys([str(script.resolve().parent), str(root / "tools" / "python")]))


def _execute(tree: ast.Module, main: types.ModuleType, makers: Makers, root: Path) -> None:
    """Statement by statement; functions are replaced in front of the main block."""
    for statement in tree.body:
        if _is_main_block(statement):
            replace_functions(makers, [main, *_modules_of(root)])
        piece = ast.Module([statement], [])
        exec(compile(piece, str(main.__file__), "exec", dont_inherit=True), vars(main))


def _is_main_block(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Compare)
        and isinstance(statement.test.left, ast.Name)
        and statement.test.left.id == "__name__"
    )


def _modules_of(root: Path) -> list[types.ModuleType]:
    found = []
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and root in Path(path).resolve().parents:
            found.append(module)
    return found


def replace_functions(makers: Makers, modules: Sequence[types.ModuleType]) -> None:
    """Replace functions by name wherever modules have them, imported ones too."""
    made: dict[int, Any] = {}
    for module in modules:
        for name, maker in makers.items():
            original = vars(module).get(name)
            if isinstance(original, types.FunctionType):
                replacement = made.get(id(original)) or maker(original)
                made[id(original)] = made[id(replacement)] = replacement
                setattr(module, name, replacement)
