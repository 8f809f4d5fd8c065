"""The notebooks of docs/tutorials: executed from the sources in tools/tutorials.

    python -m tools.notebooks             # run all, write NAME.ipynb and NAME.zh-CN.ipynb
    python -m tools.notebooks cnn         # one of them

A source is Python with cells: `# %%` begins code, `# %% en` and `# %% zh` prose of one language as
comments. The code is run once; both notebooks have its outputs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "tools" / "tutorials"
NOTEBOOKS = ROOT / "docs" / "tutorials"
NAMES = tuple(sorted(path.stem for path in SOURCES.glob("*.py")))
SUFFIXES = {"en": ".ipynb", "zh": ".zh-CN.ipynb"}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL = re.compile(r"^# %%(?: (en|zh))?\n", re.MULTILINE)
LARGEST = 300_000
"""Bytes of a notebook: one that is larger is slow to load, and its history fills the repository."""


class Cell(NamedTuple):
    """A cell of a source: `language` of prose, empty for code."""

    language: str
    text: str


def cells(name: str) -> Iterator[Cell]:
    """The cells of a source, in its order."""
    _, *pieces = CELL.split((SOURCES / f"{name}.py").read_text(encoding="utf-8"))
    for language, text in zip(pieces[::2], pieces[1::2], strict=True):
        yield Cell(language or "", _prose(text) if language else text.strip())


def _prose(text: str) -> str:
    """Markdown of a comment; the lines of a Chinese paragraph are joined without a space."""
    lines = [line.removeprefix("#").removeprefix(" ") for line in text.strip().split("\n")]
    paragraphs = "\n".join(lines).split("\n\n")
    return "\n\n".join(re.sub(r"(?<=[^\x00-\x7f])\n", "", paragraph) for paragraph in paragraphs)


def notebook(name: str, language: str) -> NotebookNode:
    """The notebook of a source in one language, not executed."""
    wanted = [cell for cell in cells(name) if cell.language in ("", language)]
    made = [
        new_markdown_cell(cell.text, id=f"cell-{number}")
        if cell.language
        else new_code_cell(cell.text, id=f"cell-{number}")
        for number, cell in enumerate(wanted)
    ]
    return new_notebook(cells=made, metadata={"kernelspec": KERNEL})


def executed(name: str) -> NotebookNode:
    """The English notebook with its outputs; an error of a cell is raised."""
    from nbclient import NotebookClient

    run = notebook(name, "en")
    NotebookClient(run, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()
    run.metadata = {"kernelspec": KERNEL}
    for cell in code(run):
        cell.metadata = {}  # when each line was run
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return run


def code(run: NotebookNode) -> list[NotebookNode]:
    """The code cells."""
    return [cell for cell in run.cells if cell.cell_type == "code"]


def write(name: str) -> None:
    """Run a source and write its notebooks."""
    run = executed(name)
    for language, suffix in SUFFIXES.items():
        made = notebook(name, language)
        for cell, done in zip(code(made), code(run), strict=True):
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
        text = nbformat.writes(made) + "\n"
        if len(text) > LARGEST:
            raise ValueError(f"{name}{suffix}: {len(text):,} bytes, more than {LARGEST:,}")
        (NOTEBOOKS / f"{name}{suffix}").write_text(text, encoding="utf-8")
        print(f"{name}{suffix} ({len(text):,} bytes)")


def main(names: Sequence[str]) -> None:
    """Write the notebooks of these sources, or of all."""
    for name in names or NAMES:
        write(name)


if __name__ == "__main__":
    main(sys.argv[1:])
