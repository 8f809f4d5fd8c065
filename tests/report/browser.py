"""A page in headless Chromium: what it logs, and what a script finds in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
RESULT = re.compile(r'<pre id="found">(.*?)</pre>', re.DOTALL)
SCRIPT = """
<script>
addEventListener("load", () => setTimeout(async () => {
  let found;
  if (typeof fillAll === "function") fillAll();  // virtual time does not wait for idle time
  try { found = await (async () => { %s })(); } catch (error) { found = {error: String(error)}; }
  const pre = document.createElement("pre");
  pre.id = "found";
  pre.textContent = encodeURIComponent(JSON.stringify(found));
  document.body.append(pre);
}, 100));
</script></body>
"""


def opened(page: Path, script: str, *, width: int = 1280, address: str = "") -> Any:
    """What a script returns that runs in the page.

    Raises:
        AssertionError: the page, or the script, logs an error.
    """
    assert CHROMIUM is not None
    text = page.read_text(encoding="utf-8")
    copy = page.with_name(f"opened-{width}.html")
    copy.write_text(text.replace("</body>", SCRIPT % script), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options += ["--allow-file-access-from-files"]
    options += [f"--window-size={width},800", "--virtual-time-budget=10000", "--dump-dom"]
    ran = subprocess.run(
        [CHROMIUM, *options, f"--user-data-dir={page.parent}/profile", f"{copy.as_uri()}{address}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    logged = [line for line in ran.stderr.splitlines() if ":CONSOLE" in line]
    assert not logged, logged
    match = RESULT.search(ran.stdout)
    assert match is not None, ran.stderr[-2000:]
    found = json.loads(unquote(match.group(1)))
    assert not (isinstance(found, dict) and "error" in found), found
    return found
