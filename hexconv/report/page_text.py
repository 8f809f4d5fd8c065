"""How the HTML report writes texts, in the language of messages, and figures."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from math import inf
from typing import Any

from hexconv.report.parts import Text, same
from hexconv.translation import language

LARGEST = 1e21
"""From here on a browser's toFixed writes an exponent, and so does this."""

EXACT = 200.0
"""dB: of what is the same, and negative of what has no signal."""


def plain(value: Text | str) -> str:
    """A text in the language of messages."""
    if isinstance(value, str):
        return value
    return value.zh if language() == "zh" else value.en


def other(value: Text | str) -> str:
    """A text in the other language; empty where it is the same in both."""
    if isinstance(value, str) or value.en == value.zh:
        return ""
    return value.en if language() == "zh" else value.zh


def shown(value: Any, kind: str) -> str:
    """A cell of a table as the page's script shows it too.

    Args:
        value: a text, a number, or None where there is no figure.
        kind: of its column.
    """
    if value is None:
        return ""
    if not isinstance(value, int | float):
        return plain(value)
    return FORMATS.get(kind, _digits)(_number(value))


def _number(value: float) -> float:
    """Integers of a document have any size; those beyond a float are infinite, as in a browser."""
    try:
        float(value)
        return value
    except OverflowError:
        return inf if value > 0 else -inf


def _share(value: float) -> str:
    return f"{_fixed(100 * value, 3 if 0 < value < 0.001 else 1)} %"


def _bytes(value: float) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= scale:
            return f"{_fixed(value / scale, 1)} {unit}"
    return f"{value} B"


def _db(value: float) -> str:
    if abs(value) < EXACT:
        return _fixed(value, 1)
    return plain(WORDS["exact" if value > 0 else "silent"])


def _integer(value: float) -> str:
    return _fixed(value, 0)


def _digits(value: float) -> str:
    if abs(value) == inf:
        return str(value)
    if value == int(value):
        return f"{int(value):,}"
    if 1e-3 <= abs(value) < 1e7:
        whole, _, fraction = f"{_rounded(value, 5):,f}".partition(".")
        return ".".join(filter(None, (whole, fraction.rstrip("0"))))
    return f"{_rounded(value, 4):e}"


def _fixed(value: float, places: int) -> str:
    if not abs(value) < LARGEST:
        return f"{_rounded(value, 5):e}"
    unit = Decimal(1).scaleb(-places)
    return f"{Decimal(value).quantize(unit, ROUND_HALF_UP):,}"


def _rounded(value: float, digits: int) -> Decimal:
    """Halves away from zero, as a browser rounds them."""
    return Context(digits, ROUND_HALF_UP).create_decimal(value)


FORMATS: dict[str, Callable[[float], str]] = {
    "share": _share,
    "bytes": _bytes,
    "db": _db,
    "integer": _integer,
}
"""By the kind of a column; others have five digits."""


WORDS = {
    "next": Text("What to do next", "下一步"),
    "contents": Text("Contents", "目录"),
    "csv": Text("Download CSV", "下载 CSV"),
    "all": Text("Show all {} rows", "显示全部 {} 行"),
    "table": Text("Table", "表格"),
    "link": Text("Link to this section", "本节链接"),
    "language": same("中文 / English"),
    "theme": Text("Light / dark", "浅色 / 深色"),
    "choose": Text("Tensor", "张量"),
    "find": Text("Filter", "筛选"),
    "values": Text("elements", "元素"),
    "start": Text("without rewrites", "没有改写"),
    "end": Text("now", "现在"),
    "library": Text("library", "库"),
    "exact": Text("exact", "完全一致"),
    "silent": Text("no signal", "无信号"),
}
"""What the page itself says."""
