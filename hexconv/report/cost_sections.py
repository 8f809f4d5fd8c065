"""Sections of the report about cost: the graph, packets, a phone's times, memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hexconv.cost.align import pair_by_id, unlike
from hexconv.report.document import Report, accuracy_rows, figures_of
from hexconv.report.drawing import MOST_NODES, drawing
from hexconv.report.parts import LAYER, NAME, OP, PACKETS, Column, Section, Text, message, same


def graph(report: Report) -> Iterator[Section]:
    """A drawing, for models that are small enough for one."""
    cost = report.get("cost") or {}
    nodes = cost.get("nodes", ())
    if len(nodes) > MOST_NODES:
        return
    own = {row["name"]: figures_of(row)["own"]["sqnr"] for row in accuracy_rows(report, "layers")}
    whole = cost.get("packets") or 1
    rows = []
    for node in nodes:
        name = node["name"] or str(node["id"])
        share = (node["packets"] or 0) / whole
        rows.append([name, node["op"], node["onnx_node"], share, own.get(node["name"])])
    columns = (
        NAME,
        OP,
        LAYER,
        Column(Text("share of packets", "指令包占比"), "share"),
        Column(Text("own error, dB", "自身误差，dB"), "db"),
    )
    yield Section(
        "graph",
        Text("Graph", "图"),
        Text(
            "The executed nodes; the darker, the larger the share of the packets.",
            "已执行的节点；颜色越深，占指令包的比例越大。",
        ),
        columns,
        rows,
        {"type": "graph", "label": 0, "op": 1, "share": 3, "error": 4},
        [drawing(nodes)],
    )


def nodes(report: Report) -> Iterator[Section]:
    """Packets, time and bytes of each executed node."""
    cost = report.get("cost") or {}
    rows = [
        [
            node["name"] or str(node["id"]),
            node["op"],
            node["onnx_node"],
            node["packets"],
            node["milliseconds_low"],
            node["milliseconds_high"],
            node["moved"],
        ]
        for node in cost.get("nodes", ())
    ]
    rows.sort(key=lambda row: -(row[3] or 0))
    columns = (
        NAME,
        OP,
        LAYER,
        PACKETS,
        Column(Text("ms, low", "ms，下限"), "number"),
        Column(Text("ms, high", "ms，上限"), "number"),
        Column(Text("bytes moved", "读写字节"), "bytes"),
    )
    yield Section(
        "nodes",
        Text("Where the time goes", "时间用在何处"),
        Text(
            "Predicted packets of each executed node, grouped by op. Select a group to zoom in.",
            "每个已执行节点的指令包预测值，按算子分组。点击一组可放大。",
        ),
        columns,
        rows,
        {"type": "treemap", "label": 0, "group": 1, "value": 3},
    )


def layers(report: Report) -> Iterator[Section]:
    """The same by ONNX node."""
    cost = report.get("cost") or {}
    macs = (report.get("conversion") or {}).get("macs", {})
    whole = cost.get("packets") or 1
    rows = [
        [name, row["count"], row["packets"], row["packets"] / whole, macs.get(name), row["moved"]]
        for name, row in sorted(
            cost.get("by_layer", {}).items(), key=lambda item: -item[1]["packets"]
        )
    ]
    columns = (
        LAYER,
        Column(Text("nodes", "节点"), "integer"),
        PACKETS,
        Column(Text("share", "占比"), "share"),
        Column(Text("MACs", "乘加"), "integer"),
        Column(Text("bytes moved", "读写字节"), "bytes"),
    )
    yield Section(
        "layers",
        Text("Packets by ONNX node", "按 ONNX 节点的指令包"),
        Text("The most expensive first.", "开销最大的在前。"),
        columns,
        rows,
        {"type": "bars", "label": 0, "series": [2], "unit": ""},
    )


def measured(report: Report) -> Iterator[Section]:
    """A phone's profile beside the prediction."""
    profile, cost = report.get("profile") or {}, report.get("cost") or {}
    unit = profile.get("unit", "ms")
    told = Text("Beside the upper end of the prediction.", "旁边是预测的上限。")
    rows = [
        [node["name"], node["op"], node.get("predicted"), node["value"]]
        for node in profile.get("nodes", ())
    ]
    if unit == "ms" and cost and not any("predicted" in node for node in profile.get("nodes", ())):
        rows, doubt = _predicted_rows(profile, cost)
        soc = cost["soc"].upper()
        told = Text(
            f"Beside the upper end of the prediction for {soc}. {doubt.en}".strip(),
            f"旁边是针对 {soc} 的预测上限。{doubt.zh}",
        )
    rows.sort(key=lambda row: -(row[3] or 0.0))
    yield Section(
        "measured",
        Text("Measured on the phone", "在手机上的测量"),
        told,
        (
            NAME,
            OP,
            Column(Text("predicted, ms", "预测，ms"), "number"),
            Column(Text(f"measured, {unit}", f"测量，{unit}"), "number"),
        ),
        rows,
        {"type": "bars", "label": 0, "series": [3, 2], "unit": unit},
    )


def _predicted_rows(
    profile: Mapping[str, Any], cost: Mapping[str, Any]
) -> tuple[list[list[Any]], Text]:
    """The rows of a log beside a model's prediction, or its sums by op; and whether they fit."""
    said = [
        (node["id"], (node["op"], node["onnx_node"] or node["name"], node["milliseconds_high"]))
        for node in cost["nodes"]
    ]
    if not profile.get("nodes"):
        sums = profile.get("by_type", {})
        spent = {op: [row[2] for _, row in said if row[0] == op] for op in sums}
        named = ((op, f"{op} ({row['count']})", row["value"]) for op, row in sums.items())
        return [[name, op, sum(spent[op]) or None, value] for op, name, value in named], same("")
    measured = [(row.get("id"), (row["op"], row["name"], row["value"])) for row in profile["nodes"]]
    pairs = pair_by_id(said, measured)
    return [[pair.name, pair.op, pair.before, pair.after] for pair in pairs], message(unlike(pairs))


def memory(report: Report) -> Iterator[Section]:
    """Heap, fast memory and constants."""
    memory = (report.get("cost") or {}).get("memory", {})
    names = {
        "weights": Text("constants", "常量"),
        "prepare": Text("heap to prepare", "prepare 所需堆"),
        "execute": Text("heap to execute", "执行所需堆"),
        "vtcm": Text("fast memory (VTCM)", "快速内存（VTCM）"),
    }
    yield Section(
        "memory",
        Text("Memory of the DSP", "DSP 的内存"),
        Text("Bytes, at most.", "字节数，最多。"),
        (Column(Text("what", "项目")), Column(Text("bytes", "字节"), "bytes")),
        [[text, memory[key]] for key, text in names.items() if key in memory],
        {"type": "bars", "label": 0, "series": [1], "unit": "bytes"},
    )
