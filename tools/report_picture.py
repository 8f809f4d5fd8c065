"""The picture of the HTML report in docs/report.md, of the reference encoder.

python -m tools.report_picture    (needs Chromium and the extra `report`)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

from hexconv.models.encoder import reference_encoder, sample_speech

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "report.png"


def main() -> None:
    """Convert, verify with --html, and photograph the first screen at 1280x800."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(reference_encoder(), folder / "reference_encoder.onnx")
        speech = sample_speech(8)
        np.save(folder / "calib.npy", speech[:6])
        np.save(folder / "held_out.npy", speech[6:])
        _hexconv(folder, "convert", "reference_encoder.onnx", "--samples", "calib.npy", "-q")
        model = ("--model", "build/reference_encoder.pb", "--float", "reference_encoder.onnx")
        _hexconv(folder, "verify", *model, "--test", "held_out.npy", "-q", "--html")
        page = (folder / "build" / "reference_encoder.report.html").as_uri()
        options = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1280,800"]
        options += ["--virtual-time-budget=5000", f"--screenshot={TARGET}", page]
        subprocess.run([chromium, *options], check=True, capture_output=True)
    print(f"{TARGET} ({TARGET.stat().st_size:,} bytes)")


def _hexconv(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "hexconv", *arguments]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


if __name__ == "__main__":
    main()
