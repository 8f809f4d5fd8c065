"""Sections of the report about where the noise comes from, and what was tried."""

from __future__ import annotations

from collections.abc import Iterator

from hexconv.report.document import Report
from hexconv.report.parts import LAYER, OP, PACKETS, Column, Section, Text, message

CAUSES = {
    "rounding": Text("rounding", "舍入"),
    "clipping": Text("clipping", "截断"),
    "weights": Text("weights", "权重"),
    "arithmetic": Text("arithmetic", "算术"),
}


def noise(report: Report) -> Iterator[Section]:
    """The noise of the outputs by tensor and cause."""
    found = report.get("explanation") or {}
    rows = [
        [
            row["tensor"],
            row["onnx_node"],
            row["op"],
            row["share"],
            *(row[cause] if any(row[name] for name in CAUSES) else None for cause in CAUSES),
            row["sqnr_if_exact"],
        ]
        for row in found.get("tensors", ())
    ]
    columns = (
        Column(Text("tensor", "张量")),
        LAYER,
        OP,
        Column(Text("share of the noise", "占噪声的比例"), "share"),
        *(Column(title, "share") for title in CAUSES.values()),
        Column(Text("dB if exact", "若精确，dB"), "db"),
    )
    yield Section(
        "noise",
        Text("Where the noise comes from", "噪声从何而来"),
        Text(
            "The error of each node alone, measured at the outputs, and how much of it each cause "
            "is. Last: SQNR if this node alone were exact.",
            "每个节点单独的误差在输出处的噪声，以及各原因所占的比例。"
            "最后一列：仅该节点精确时的 SQNR。",
        ),
        columns,
        rows,
        {"type": "bars", "label": 0, "series": [3], "unit": ""},
    )


def tried(report: Report) -> Iterator[Section]:
    """What each option gains."""
    found = report.get("explanation") or {}
    rows = [
        [row["option"], row["sqnr"], row["gain"], row["packets"], message(row["why"])]
        for row in found.get("trials", ())
    ]
    columns = (
        Column(Text("option", "选项")),
        Column(Text("SQNR, dB", "SQNR，dB"), "db"),
        Column(Text("gain, dB", "增益，dB"), "number"),
        PACKETS,
        Column(Text("does not work", "不可用的原因")),
    )
    yield Section(
        "tried",
        Text("What was tried", "试过的选项"),
        Text(
            "The model converted with each option, and simulated. First the model as it is.",
            "以各选项转换并模拟模型。第一行为现有模型。",
        ),
        columns,
        rows,
    )
