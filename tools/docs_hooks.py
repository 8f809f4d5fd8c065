"""What mkdocs does to pages written for both GitHub and the site.

On GitHub a page links to its twin in the other language, and to `X.zh-CN.md` pages by name. On the
site the language menu does the first, and each language has its own `X.md`.
"""

from __future__ import annotations

import re
from typing import Any

# "[中文](device.zh-CN.md) · " at the head of a page, alone or before other links.
TWIN = re.compile(r"\[(?:中文|English)\]\([\w/-]+(?:\.zh-CN)?\.md\)(?: · )?")
CHINESE = re.compile(r"(\]\([\w/.-]+)\.zh-CN\.md")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Drop the links between twins; name pages without their language."""
    return CHINESE.sub(r"\1.md", TWIN.sub("", markdown))
