"""The pictures of README and docs, in docs/images: all of one real run of the reference encoder.

python -m tools.pictures    (needs Chromium and the extra `report`)
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from hexconv.models.encoder import reference_encoder, sample_speech

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "images"
COLUMNS = 100
MODEL = ("--model", "build/reference_encoder.pb", "--float", "reference_encoder.onnx")
SESSION = (
    ("check", "reference_encoder.onnx"),
    ("convert", "reference_encoder.onnx", "--samples", "calib.npy"),
    ("verify", *MODEL, "--test", "held_out.npy", "--rows", "3"),
    ("cost", "build/reference_encoder.pb", "--top", "3"),
)

DRAWN = "<script>fillAll(); charts.forEach((entry) => entry.draw());</script>"
"""A screenshot does not wait for what the page makes while it is idle."""

ALONE = """<style>
#cards, #next, #contents, #sections section:not(#graph) { display: none !important }
.graph { max-height: none !important }
</style>"""


def main() -> None:
    """Convert and verify, then draw the session, the report and its graph."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed")
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(reference_encoder(), folder / "reference_encoder.onnx")
        speech = sample_speech(8)
        np.save(folder / "calib.npy", speech[:6])
        np.save(folder / "held_out.npy", speech[6:])
        _session(folder)
        _hexconv(folder, "verify", *MODEL, "--test", "held_out.npy", "-q", "--html")
        page = folder / "build" / "reference_encoder.report.html"
        _photograph(chromium, page, "report", DRAWN)
        _photograph(chromium, page, "graph", ALONE + DRAWN)  # it is of the top of a page
    for path in sorted(TARGET.iterdir()):
        print(f"{path.name} ({path.stat().st_size:,} bytes)")


def _hexconv(folder: Path, *arguments: str) -> str:
    """What a command prints on a terminal of COLUMNS columns, with its colors."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS)}
    call = [sys.executable, "-m", "hexconv", *arguments]
    done = subprocess.run(
        ["script", "-qec", f"stty cols {COLUMNS}; {shlex.join(call)} 2>/dev/null", "/dev/null"],
        cwd=folder,
        env={**environment, "FORCE_COLOR": "1"},
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    return done.stdout.replace("\r\n", "\n")


def _session(folder: Path) -> None:
    """The commands and what they print, as an SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for arguments in SESSION:
        console.print(Text(f"$ hexconv {' '.join(arguments)}", style="bold green"))
        console.print(Text.from_ansi(_hexconv(folder, *arguments)))
    svg = console.export_svg(title="hexconv", theme=MONOKAI, unique_id="hexconv")
    (TARGET / "terminal.svg").write_text(svg, encoding="utf-8")


def _photograph(chromium: str, page: Path, name: str, more: str) -> None:
    """A screen, at 1280x800, of a page with more HTML at its end."""
    copy = page.with_name(f"{name}.html")
    copy.write_text(page.read_text(encoding="utf-8") + more, encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1280,800"]
    options += ["--virtual-time-budget=5000", f"--screenshot={TARGET / name}.png"]
    command = [chromium, *options, copy.as_uri()]
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
