"""What the HTML report costs: seconds of a conversion, bytes, and until a browser can be used.

    python -m benchmarks.report_page

The reference encoder is converted with and without --html, each in its own process, in turn. Its
page, with `verify --json` in it, is then opened in headless Chromium, each time with an empty
profile: it can be used when the load event is over and the main thread is free
(`requestIdleCallback`), counted from the start of the navigation; a blank page is beside it.
What is below the first screen is made afterwards, piece by piece: the page is complete when all
tables are there. The longest of these pieces is how long a click may have to wait.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from urllib.parse import unquote

import numpy as np
import onnx

from hexconv.models.encoder import reference_encoder, sample_speech
from tests.report.browser import CHROMIUM

RUNS = 7
SAMPLES = 8
SCRIPT = """<script>
const page = document.documentElement.dataset, found = { longest: 0 };
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) found.longest = Math.max(found.longest, task.duration);
}).observe({ type: "longtask", buffered: true });
const complete = () => page.filled === "no" ? requestIdleCallback(complete) : setTimeout(() => {
  found.complete = performance.now();
  location.assign(`/found?${encodeURIComponent(JSON.stringify(found))}`);
});
addEventListener("load", () => setTimeout(() => requestIdleCallback(() => {
  found.idle = performance.now();
  found.loaded = performance.getEntriesByType("navigation")[0].loadEventEnd;
  complete();
})));
</script></body>"""


def convert_seconds(folder: Path, *options: str) -> float:
    """Wall clock of `hexconv convert`, imports included."""
    start = time.perf_counter()
    samples = ["--samples", str(folder / "speech.npy")]
    arguments = ["convert", str(folder / "encoder.onnx"), *samples, "-q", "-o", str(folder)]
    subprocess.run([sys.executable, "-m", "hexconv", *arguments, *options], check=True)
    return time.perf_counter() - start


def page_of(folder: Path) -> Path:
    """The page of the converted encoder, with every layer."""
    model, samples = folder / "encoder.onnx", folder / "speech.npy"
    verify = [sys.executable, "-m", "hexconv", "verify", str(model), "--samples", str(samples)]
    ran = subprocess.run([*verify, "--json"], check=True, capture_output=True)
    (folder / "verify.json").write_bytes(ran.stdout)
    report = ["report", str(folder / "encoder.pb"), str(folder / "verify.json"), "-q"]
    subprocess.run([sys.executable, "-m", "hexconv", *report], check=True)
    return folder / "encoder.report.html"


@contextmanager
def served(page: bytes, found: Queue[str]) -> Iterator[str]:
    """The address of a page; what it asks for afterwards is put into the queue."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/found?"):
                found.put(unquote(self.path.partition("?")[2]))
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            with suppress(ConnectionError):  # the browser has gone
                self.wfile.write(page if self.path == "/" else b"")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing of each request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def profile_folder() -> tempfile.TemporaryDirectory[str]:
    """A profile of a browser, which may still write while it is removed."""
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def opened(page: Path) -> dict[str, float]:
    """What the page measures of itself, in a new browser: milliseconds."""
    assert CHROMIUM is not None, "Chromium is not installed"
    text = page.read_text(encoding="utf-8").replace("</body>", SCRIPT)
    found: Queue[str] = Queue()
    with served(text.encode(), found) as address, profile_folder() as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,800"]
        browser = subprocess.Popen(
            [
                CHROMIUM,
                *options,
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                address,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            measured: dict[str, float] = json.loads(found.get(timeout=60))
        finally:
            browser.terminate()
            browser.wait()
    return measured


def main(runs: int = RUNS) -> None:
    """Print the figures of docs/report.md."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        onnx.save(reference_encoder(), folder / "encoder.onnx")
        np.save(folder / "speech.npy", np.concatenate(list(sample_speech(SAMPLES))))
        convert_seconds(folder)  # compiles, fills the file cache
        pairs = [(convert_seconds(folder), convert_seconds(folder, "--html")) for _ in range(runs)]
        added = [after - before for before, after in pairs]
        print(f"--html adds {spread(added)} s to a convert of {spread([b for b, _ in pairs])} s")
        page = page_of(folder)
        print(f"{page.stat().st_size:,} bytes with every layer")
        blank = folder / "blank.html"
        blank.write_text("<!doctype html><html><body>blank</body></html>", encoding="utf-8")
        opened(page)
        for path in (page, blank):
            times = [opened(path) for _ in range(runs)]
            usable, loaded, complete, longest = (
                spread([item[key] / 1000 for item in times])
                for key in ("idle", "loaded", "complete", "longest")
            )
            print(f"{path.name}: usable after {usable} s, loaded after {loaded} s,")
            print(f"  complete after {complete} s, longest task {longest} s")


def spread(values: Sequence[float]) -> str:
    """Median, and the least and the most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
