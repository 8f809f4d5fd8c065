"""The sections of the HTML report, each from the part of a report that has its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hexconv.report import accuracy_sections, cost_sections, explain_sections
from hexconv.report.document import Report, warnings_of
from hexconv.report.parts import LAYER, NAME, OP, Column, Section, Text, message, same

SIDES = {"inputs": Text("input", "输入"), "outputs": Text("output", "输出")}


def sections(report: Report) -> list[Section]:
    """Every section that the report has figures for, in the order of the page."""
    makers = (
        _unsupported,
        accuracy_sections.outputs,
        accuracy_sections.parts,
        accuracy_sections.metrics,
        explain_sections.noise,
        explain_sections.tried,
        accuracy_sections.layer_errors,
        cost_sections.graph,
        cost_sections.nodes,
        cost_sections.layers,
        cost_sections.measured,
        accuracy_sections.ranges,
        _interface,
        cost_sections.memory,
        _full_precision,
        _rewrites,
        _warnings,
        _provenance,
    )
    return [section for maker in makers for section in maker(report) if section.rows]


def _unsupported(report: Report) -> Iterator[Section]:
    rows = [
        [node["onnx_node"], node["onnx_op"], message(node["reason"]), message(node["hint"])]
        for node in (report.get("coverage") or {}).get("nodes", ())
        if node["reason"]
    ]
    yield Section(
        "unsupported",
        Text("Unsupported nodes", "不支持的节点"),
        Text(
            "Each with its reason and the closest workaround.", "每个节点的原因和最接近的替代办法。"
        ),
        (LAYER, OP, Column(Text("reason", "原因")), Column(Text("hint", "建议"))),
        rows,
    )


def _interface(report: Report) -> Iterator[Section]:
    rows = [
        [SIDES[side], item["name"], "x".join(map(str, item["shape"])), *item["range"]]
        for side in SIDES
        for item in report.get(side, ())
    ]
    columns = (
        Column(Text("side", "方向")),
        Column(Text("tensor", "张量")),
        Column(Text("shape", "形状")),
        Column(Text("min", "最小值"), "number"),
        Column(Text("max", "最大值"), "number"),
    )
    yield Section(
        "interface",
        Text("Inputs and outputs", "输入与输出"),
        Text("With their calibrated ranges.", "及其校准范围。"),
        columns,
        rows,
    )


def _full_precision(report: Report) -> Iterator[Section]:
    offers = (report.get("conversion") or {}).get("full_precision", ())
    yield Section(
        "full_precision",
        Text("Outputs in full precision", "全精度的输出"),
        Text(
            "`convert` with the option lets the DSP return the tensor, and the CPU compute the "
            "rest in float.",
            "`convert` 使用该选项时，DSP 返回该张量，其余部分由 CPU 以浮点计算。",
        ),
        (
            Column(Text("output", "输出")),
            OP,
            Column(Text("tensor", "张量")),
            Column(Text("reason", "原因")),
            Column(Text("option", "选项")),
        ),
        [
            [item["output"], item["op"], item["tensor"], message(item["reason"]), item["option"]]
            for item in offers
        ],
    )


def _rewrites(report: Report) -> Iterator[Section]:
    did = report.get("conversion") or {}
    saved = did.get("saved", {})
    now = (report.get("cost") or {}).get("packets", 0)
    rows = [
        [message(kind), name, times, saved.get(name)]
        for kind, name, times in did.get("rewrites", ())
    ]
    rows.sort(key=lambda row: -(row[3] or 0.0))
    chart = {"type": "waterfall", "label": 1, "value": 3, "end": now} if saved else {}
    note = Text(
        "Packets that the model would take more without each of them.",
        "若没有该项改写，模型会多用的指令包。",
    )
    without = Text(
        "What was recognized, rewritten and fused. `convert --explain` predicts what each saved.",
        "识别、改写和融合的内容。`convert --explain` 可预测每项节省的开销。",
    )
    yield Section(
        "rewrites",
        Text("Rewrites", "改写"),
        note if saved else without,
        (
            Column(Text("kind", "类别")),
            NAME,
            Column(Text("times", "次数"), "integer"),
            Column(Text("packets saved", "节省的指令包"), "integer"),
        ),
        rows,
        chart,
    )


def _warnings(report: Report) -> Iterator[Section]:
    yield Section(
        "warnings",
        Text("Warnings", "警告"),
        Text("What you have to know.", "您需要知道的事项。"),
        (Column(Text("warning", "警告")),),
        [[message(text)] for text in warnings_of(report)],
    )


def _provenance(report: Report) -> Iterator[Section]:
    did = report.get("conversion") or {}
    samples, ranges = did.get("samples") or {}, did.get("ranges") or {}
    facts = [
        ("hexconv", report["hexconv"]),
        (Text("model", "模型"), did.get("source", "")),
        (Text("SHA-256 of the model", "模型的 SHA-256"), did.get("sha256", "")),
        (Text("library", "库"), report.get("library", "")),
        (Text("samples", "样本"), samples.get("source", "")),
        (Text("number of samples", "样本个数"), str(samples.get("count", ""))),
        (Text("SHA-256 of their values", "其数值的 SHA-256"), samples.get("sha256", "")),
        (Text("range file", "范围文件"), ranges.get("source", "")),
        (Text("SHA-256 of the ranges", "范围的 SHA-256"), ranges.get("sha256", "")),
        *((same(key), _setting(value)) for key, value in did.get("settings", {}).items()),
    ]
    yield Section(
        "provenance",
        Text("Provenance", "来源"),
        Text("From what and how the model was made.", "模型由什么、如何得到。"),
        (Column(Text("what", "项目")), Column(Text("value", "值"))),
        [[key, value] for key, value in facts if value],
    )


def _setting(value: Any) -> str | Text:
    if isinstance(value, bool):
        return Text("yes", "是") if value else Text("no", "否")
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={item}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
