"""The table of docs/wild.md, between markers, in both languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.wild.manifest import Model
from hexconv.compare.metrics import EXACT

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"en": DOCS / "wild.md", "zh": DOCS / "wild.zh-CN.md"}
START, END = "<!-- generated: python -m benchmarks.wild --write -->", "<!-- end of generated -->"
EXECUTED = ("same bits", "prepared")
WORSE = 2.0
"""dB below ONNX Runtime's int8 by tensor from which on a network counts as worse."""
SAME_SAMPLES = 1e-3
"""Relative difference of loudness up to which samples are the same but for rounding."""
Row = Mapping[str, Any]
WORDS = {
    "en": {
        "head": "| network | source | nodes | hexconv | ONNX Runtime, by tensor | by channel | "
        "top-1 | library | note |",
        "sum": "{converted} of {all} networks convert. In the library: {same} of {ran} return the "
        "simulator's bits. {worse} are more than {limit:g} dB below ONNX Runtime's int8 by tensor, "
        "{silent} of them without a warning; "
        "of those with LSTM or GRU (*), which ONNX Runtime leaves in float, {recurrent}. `check` "
        "finds {supported} of {all} supported: {kept} of these convert, and the library runs or "
        "prepares {executed}; of the others, {unexpected} convert.",
        "float": "float",
        "same bits": "same bits",
        "prepared": "prepared",
        "failed": "fails in ONNX Runtime",
        "warns": "`convert` warns",
    },
    "zh": {
        "head": "| 网络 | 来源 | 节点 | hexconv | ONNX Runtime（按张量） | 按通道 | top-1 | 库 | "
        "说明 |",
        "sum": "{all} 个网络中有 {converted} 个可以转换。在库中：{ran} 个中有 {same} 个与模拟器逐位"
        "相同。{worse} 个比 ONNX Runtime 按张量的 int8 低 {limit:g} dB 以上，其中 {silent} 个"
        "没有警告；在含 LSTM 或 GRU（*，ONNX Runtime "
        "将其留在浮点）的网络中有 {recurrent} 个。`check` 认为 {all} 个中有 {supported} 个受支持："
        "其中 {kept} 个可以转换，库能运行或 prepare 其中 {executed} 个；"
        "其余网络中有 {unexpected} 个可以转换。",
        "float": "浮点",
        "same bits": "位相同",
        "prepared": "仅 prepare",
        "failed": "ONNX Runtime 失败",
        "warns": "`convert` 给出警告",
    },
}


def worst(row: Row) -> str | None:
    """The output that hexconv computes worst."""
    found = row.get("hexconv") or {}
    return min(found, key=found.__getitem__) if found else None


def behind(row: Row) -> float | None:
    """dB below ONNX Runtime by tensor, of the output where that is the most."""
    ours, theirs = row.get("hexconv") or {}, row.get("tensor") or {}
    both = [min(theirs[name], 50.0) - ours[name] for name in ours if name in theirs]
    return max(both, default=None)


def is_worse(row: Row) -> bool:
    """Whether hexconv is behind ONNX Runtime's int8, where that has quantized anything."""
    theirs = (row.get("tensor") or {}).values()
    return max(theirs, default=EXACT) < EXACT and (behind(row) or 0.0) > WORSE


def line(row: Row) -> str:
    """A row for a terminal."""
    errors = "; ".join(f"{stage}: {text}" for stage, text in row.get("errors", {}).items())
    figures = [_figure(row, kind) for kind in ("hexconv", "tensor", "channel")]
    nodes = "{} to {}".format(*row.get("nodes", (0, 0)))
    return f"{row['name']:28} {nodes:12} {' / '.join(figures):22} {row.get('device', '')} {errors}"


def below_floor(row: Row, models: Sequence[Model]) -> bool:
    """Whether a network does not reach the floor of its samples, or the library differs."""
    model = next(item for item in models if item.name == row["name"])
    name = worst(row)
    low = model.floor is not None and (name is None or row["hexconv"][name] < model.floor)
    return (low and not has_other_samples(row, model)) or "differ" in row.get("device", "")


def has_other_samples(row: Row, model: Model) -> bool:
    """Whether a row was made with other samples than those that the floor was set with."""
    found = row.get("samples") or ()
    return bool(found) and any(
        abs(now - noted) > SAME_SAMPLES * noted
        for now, noted in zip(found, model.samples, strict=False)
    )


def table(models: Sequence[Model], rows: Mapping[str, Row], language: str) -> str:
    """The sentence and the table."""
    words = WORDS[language]
    known = [rows[item.name] for item in models if item.name in rows]
    ran = [row for row in known if row.get("device") not in (None, "", "prepared")]
    worse = [row for row in known if is_worse(row) and not row.get("recurrent")]
    text = words["sum"].format(
        all=len(known),
        converted=sum(worst(row) is not None for row in known),
        ran=len(ran),
        same=sum(row["device"] == "same bits" for row in ran),
        worse=len(worse),
        silent=sum(not row.get("low") for row in worse),
        recurrent=sum(is_worse(row) and bool(row.get("recurrent")) for row in known),
        limit=WORSE,
        **_agreement(known),
    )
    lines = [text, "", words["head"], "|---" * 9 + "|"]
    lines += [_cells(item, rows[item.name], words) for item in models if item.name in rows]
    return "\n".join(lines)


def _agreement(rows: Sequence[Row]) -> dict[str, int]:
    """How `check` and `convert` agree, and how many of the supported the library executes."""
    supported = [row for row in rows if row.get("check")]
    return {
        "supported": len(supported),
        "kept": sum(worst(row) is not None for row in supported),
        "executed": sum(row.get("device") in EXECUTED for row in supported),
        "unexpected": sum(worst(row) is not None and not row.get("check") for row in rows),
    }


def disagrees(row: Row) -> bool:
    """Whether `check` says other than `convert`, or the library fails on what it supports."""
    supported = bool(row.get("check"))
    return supported != (worst(row) is not None) or (
        supported and "device" in row.get("errors", {})
    )


def write(models: Sequence[Model], rows: Mapping[str, Row]) -> None:
    """Replace what is between the markers of both pages."""
    for language, page in PAGES.items():
        before, _, rest = page.read_text("utf-8").partition(START)
        _, _, after = rest.partition(END)
        content = table(models, rows, language)
        page.write_text(f"{before}{START}\n\n{content}\n\n{END}{after}", encoding="utf-8")


def _cells(model: Model, row: Row, words: Mapping[str, str]) -> str:
    nodes = row.get("nodes", (0, 0))
    top1 = row.get("top1") or {}
    star = "*" if row.get("recurrent") else ""
    cells = [
        f"{model.name}{star}",
        model.source.title,
        f"{nodes[0]} → {nodes[1]}" if nodes[1] else "",
        _figure(row, "hexconv"),
        _float_or(_figure(row, "tensor"), words) if row.get("tensor") else words["failed"],
        _float_or(_figure(row, "channel"), words),
        f"{min(top1.values()):.2f}" if top1 else "",
        words.get(row.get("device", ""), row.get("device", "")),
        "; ".join(_reasons(row, words)).replace("|", "\\|"),
    ]
    return f"| {' | '.join(cells)} |"


def _reasons(row: Row, words: Mapping[str, str]) -> Iterator[str]:
    if row.get("low"):
        yield words["warns"]
    for stage, text in row.get("errors", {}).items():
        if stage not in ("tensor", "channel"):
            yield f"{stage}: {text}"


def _figure(row: Row, kind: str) -> str:
    """dB of the output that hexconv computes worst."""
    name, found = worst(row), row.get(kind) or {}
    if name is None:
        return f"{min(found.values()):.1f}" if found else "-"
    return f"{found[name]:.1f}" if name in found else "-"


def _float_or(figure: str, words: Mapping[str, str]) -> str:
    """A model of functions, of which ONNX Runtime's quantizer quantizes nothing, is exact."""
    return words["float"] if figure == f"{EXACT:.1f}" else figure
