"""The notebooks of docs/tutorials: made of their sources, small, and they run."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "docs" / "tutorials"
NAMES = ("acoustic-model", "cnn", "vocoder")
LIGHT = ("acoustic-model",)
"""Those that need neither torch nor IPython."""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/notebooks.py."""
    pytest.importorskip("nbformat")
    sys.path.insert(0, str(ROOT))
    from tools import notebooks

    return notebooks


def stored(name: str, suffix: str = ".ipynb") -> list[dict[str, Any]]:
    cells = json.loads((NOTEBOOKS / f"{name}{suffix}").read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def code(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_every_source_has_its_notebooks(tool: ModuleType) -> None:
    assert tool.NAMES == NAMES
    files = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
    assert files == sorted(f"{name}{suffix}" for name in NAMES for suffix in tool.SUFFIXES.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_notebook_is_what_its_source_makes(tool: ModuleType, name: str, language: str) -> None:
    """Run `make notebooks` when this fails."""
    made = [cell.source for cell in tool.notebook(name, language).cells]
    assert [cell["source"] for cell in stored(name, tool.SUFFIXES[language])] == made


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_outputs_of_one_whole_run(name: str) -> None:
    english, chinese = code(stored(name)), code(stored(name, ".zh-CN.ipynb"))
    assert [cell["outputs"] for cell in english] == [cell["outputs"] for cell in chinese]
    assert [cell["execution_count"] for cell in english] == list(range(1, len(english) + 1))
    kinds = {output["output_type"] for cell in english for output in cell["outputs"]}
    assert "error" not in kinds and "display_data" in kinds
    prose = [cell for cell in stored(name) if cell["cell_type"] == "markdown"]
    translated = [cell for cell in stored(name, ".zh-CN.ipynb") if cell["cell_type"] == "markdown"]
    assert len(prose) == len(translated)


def test_the_vocoder_has_a_player_for_each_of_float_and_dsp() -> None:
    outputs = [output for cell in code(stored("vocoder")) for output in cell["outputs"]]
    pages = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    assert sum("<audio" in page and "data:audio/wav;base64," in page for page in pages) == 2


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_small(path: Path) -> None:
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize("name", LIGHT)
def test_the_code_runs_without_jupyter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib").use("agg")
    space: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for cell in code(stored(name)):
            exec(cell["source"], space)
    assert "100.0% of the multiply-accumulates in int8" in printed.getvalue()
    assert min(figures.sqnr for row in space["report"].outputs for _, figures in row.sets()) > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_as_it_is(tool: ModuleType, name: str) -> None:
    """In Jupyter's kernel, with the same kinds of outputs as the stored run."""
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    if name == "cnn":
        pytest.importorskip("torch")
    made = [cell.outputs for cell in tool.code(tool.executed(name))]
    kinds = [
        sorted({kind for output in outputs for kind in output.get("data", {"text": 0})})
        for outputs in made
    ]
    before = [
        sorted({kind for output in cell["outputs"] for kind in output.get("data", {"text": 0})})
        for cell in code(stored(name))
    ]
    assert kinds == before
