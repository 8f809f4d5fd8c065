"""What mkdocs does to pages written for both GitHub and the site.

On GitHub a page links to its twin in the other language, and to `X.zh-CN.md` pages by name. On the
site the language menu does the first, and each language has its own `X.md`. Lines of a Chinese
paragraph are joined: a browser would show a space where they break. A page of docs/tutorials is
followed by the notebook beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

NOTEBOOK = re.compile(r"\]\(([\w-]+)(?:\.zh-CN)?\.ipynb\)")

# "[中文](device.zh-CN.md) · " at the head of a page, alone or before other links.
TWIN = re.compile(r"\[(?:中文|English)\]\([\w/-]+(?:\.zh-CN)?\.md\)(?: · )?")
CHINESE_PAGE = re.compile(r"(\]\([\w/.-]+)\.zh-CN\.md")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
WIDE = "\u2014\u3000-\u303f\u4e00-\u9fff\uff00-\uffef"
BREAK = re.compile(rf"(?<=[{WIDE}])\n *(?=[{WIDE}])")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Drop the links between twins, name pages without their language, join Chinese lines."""
    text = CHINESE_PAGE.sub(r"\1.md", TWIN.sub("", markdown))
    text = NOTEBOOK.sub(r"](\1.ipynb)", text)
    parts = FENCE.split(text)
    text = "".join(BREAK.sub("", part) if i % 2 == 0 else part for i, part in enumerate(parts))
    notebook = Path(page.file.abs_src_path).with_suffix(".ipynb")
    return f"{text}\n\n---\n\n{_rendered(notebook)}" if notebook.exists() else text


def _rendered(notebook: Path) -> str:
    """A notebook as HTML inside a page: pictures, tables and sound in it."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="basic", anchor_link_text="")
    body, _ = exporter.from_filename(str(notebook))
    title = re.compile(r"<h1.*?</h1>", re.DOTALL)  # the page has one
    return f'<div class="notebook">{title.sub("", body, count=1)}</div>'
