"""The folder tree shows the architecture: imports go one way, and the page lists every module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hexconv

ROOT = Path(hexconv.__file__).parents[1]
PAGES = ("architecture.md", "architecture.zh-CN.md")
CYCLES = """
import grimp, networkx
graph = grimp.build_graph("hexconv")
imports = networkx.DiGraph(
    (module, other)
    for module in graph.modules
    for other in graph.find_modules_directly_imported_by(module)
)
groups = networkx.strongly_connected_components(imports)
print([sorted(group) for group in groups if len(group) > 1])
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_imports_keep_the_layers_of_pyproject() -> None:
    found = run(
        "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"
    )
    assert found.returncode == 0, found.stdout


def test_no_modules_import_each_other_in_a_cycle() -> None:
    found = run("-c", CYCLES)
    assert found.stdout.strip() == "[]", found.stdout + found.stderr


def test_the_architecture_page_lists_every_folder_and_module() -> None:
    package = ROOT / "hexconv"
    folders = [path.name for path in package.iterdir() if (path / "__init__.py").exists()]
    modules = [
        path.name for path in package.glob("*.py") if path.stem not in ("__init__", "__main__")
    ]
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        missing = [name for name in (*folders, *modules) if f"`hexconv/{name}`" not in text]
        assert not missing, f"{page}: {missing}"
