"""The sections of the HTML report, each from the part of a report that has its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hexconv.report.drawing import MOST_NODES, drawing
from hexconv.report.parts import Column, Section, Text, same

Report = Mapping[str, Any]
NAME = Column(Text("name", "名称"))
OP = Column(Text("op", "算子"))
LAYER = Column(Text("ONNX node", "ONNX 节点"))
PACKETS = Column(Text("packets", "指令包"), "integer")
SETS = {
    "calibration": Text("calibration samples", "校准样本"),
    "held_out": Text("held-out samples", "保留样本"),
    "random": Text("random inputs", "随机输入"),
}


def sections(report: Report) -> list[Section]:
    """Every section that the report has figures for, in the order of the page."""
    makers = (
        _unsupported,
        _outputs,
        _error,
        _graph,
        _time,
        _layers,
        _measured,
        _ranges,
        _memory,
        _rewrites,
        _warnings,
        _provenance,
    )
    return [section for maker in makers for section in maker(report) if section.rows]


def _unsupported(report: Report) -> Iterator[Section]:
    rows = [
        [node["onnx_node"], node["onnx_op"], node["reason"], node["hint"]]
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


def _outputs(report: Report) -> Iterator[Section]:
    rows = []
    for row in (report.get("accuracy") or {}).get("outputs", ()):
        for key in SETS:
            found = row[key]
            if found is not None:
                figures = [found[name] for name in ("cosine", "max_error", "peak", "close", "top1")]
                start = [row["name"], key.replace("_", "-"), found["samples"], found["sqnr"]]
                rows.append([*start, row["allowed"], *figures])
    columns = (
        Column(Text("output", "输出")),
        Column(Text("samples", "样本")),
        Column(Text("number", "个数"), "integer"),
        Column(Text("SQNR, dB", "SQNR，dB"), "db"),
        Column(Text("8 bits allow, dB", "8 位所允许，dB"), "db"),
        Column(Text("cosine", "余弦"), "number"),
        Column(Text("max error", "最大误差"), "number"),
        Column(Text("peak", "峰值"), "number"),
        Column(Text("close", "接近"), "share"),
        Column(Text("top-1", "top-1"), "share"),
    )
    yield Section(
        "outputs",
        Text("Accuracy of the outputs", "输出的精度"),
        Text(
            "The quantized model against the float model. SQNR: signal to quantization noise; "
            "beside it what 8 bits allow, where that was estimated.",
            "量化模型与浮点模型的比较。SQNR 为信号与量化噪声之比；旁边是 8 位所允许的估计值。",
        ),
        columns,
        rows,
        {"type": "bars", "label": 0, "also": 1, "series": [3, 4], "unit": "dB"},
    )


def _error(report: Report) -> Iterator[Section]:
    layers = (report.get("accuracy") or {}).get("layers", ())
    rows = []
    for row in sorted(layers, key=lambda item: item["position"]):
        figures = row["held_out"] or row["calibration"]
        accumulated = figures["accumulated"] or {}
        fit = figures["fit"] or {}
        rows.append(
            [
                row["position"] + 1,
                row["tensor"],
                row["onnx_node"],
                row["op"],
                figures["own"]["sqnr"],
                accumulated.get("sqnr"),
                fit.get("best"),
                "; ".join(row["advice"]),
            ]
        )
    worst = layers[0]["tensor"] if layers else ""
    columns = (
        Column(Text("position", "位置"), "integer"),
        Column(Text("tensor", "张量")),
        LAYER,
        OP,
        Column(Text("own, dB", "自身，dB"), "db"),
        Column(Text("accumulated, dB", "累计，dB"), "db"),
        Column(Text("best in range, dB", "该范围最佳，dB"), "db"),
        Column(Text("advice", "建议")),
    )
    yield Section(
        "layers-error",
        Text("Error along the network", "沿网络的误差"),
        Text(
            "Own: the node alone, fed with the float model's tensors. Accumulated: in the running "
            f"model. The largest own error is that of '{worst}'.",
            f"自身：仅该节点，输入为浮点模型的张量。累计：运行中的模型。自身误差最大的是“{worst}”。",
        ),
        columns,
        rows,
        {"type": "lines", "label": 1, "series": [4, 5, 6], "unit": "dB"},
    )


def _graph(report: Report) -> Iterator[Section]:
    cost = report.get("cost") or {}
    nodes = cost.get("nodes", ())
    if len(nodes) > MOST_NODES:
        return
    own = {
        row["name"]: (row["held_out"] or row["calibration"])["own"]["sqnr"]
        for row in (report.get("accuracy") or {}).get("layers", ())
    }
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


def _time(report: Report) -> Iterator[Section]:
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


def _layers(report: Report) -> Iterator[Section]:
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


def _measured(report: Report) -> Iterator[Section]:
    profile = report.get("profile") or {}
    rows = [
        [node["name"], node["op"], node.get("predicted"), node["value"]]
        for node in profile.get("nodes", ())
    ]
    rows.sort(key=lambda row: -(row[3] or 0.0))
    unit = profile.get("unit", "ms")
    yield Section(
        "measured",
        Text("Measured on the phone", "在手机上的测量"),
        Text("Beside the upper end of the prediction.", "旁边是预测的上限。"),
        (
            NAME,
            OP,
            Column(Text("predicted, ms", "预测，ms"), "number"),
            Column(Text(f"measured, {unit}", f"测量，{unit}"), "number"),
        ),
        rows,
        {"type": "bars", "label": 0, "series": [3, 2], "unit": unit},
    )


def _ranges(report: Report) -> Iterator[Section]:
    rows, histograms = [], []
    for row in (report.get("accuracy") or {}).get("layers", ()):
        fit = (row["held_out"] or row["calibration"])["fit"]
        if fit is not None:
            figures = [fit[key] for key in ("low", "high", "clipped", "clip_noise", "used", "best")]
            rows.append([row["tensor"], row["op"], *figures])
            histograms.append(fit["histogram"])
    columns = (
        Column(Text("tensor", "张量")),
        OP,
        Column(Text("min", "最小值"), "number"),
        Column(Text("max", "最大值"), "number"),
        Column(Text("clipped", "截断"), "share"),
        Column(Text("noise by clipping", "截断噪声"), "share"),
        Column(Text("values used, of 256", "所用数值，共 256"), "integer"),
        Column(Text("best, dB", "最佳，dB"), "db"),
    )
    yield Section(
        "ranges",
        Text("Ranges", "范围"),
        Text(
            "How the values of a tensor fill its range: choose one. Clipped elements are outside; "
            "few values used mean that outliers stretch the range.",
            "张量的数值如何填满其范围：请选择一个。截断的元素在范围之外；所用数值少说明离群值拉大了范围。",
        ),
        columns,
        rows,
        {"type": "histogram", "label": 0, "low": 2, "high": 3},
        histograms,
    )
    yield _interface(report)


def _interface(report: Report) -> Section:
    rows = [
        [side[:-1], item["name"], "x".join(map(str, item["shape"])), *item["range"]]
        for side in ("inputs", "outputs")
        for item in report.get(side, ())
    ]
    columns = (
        Column(Text("side", "方向")),
        Column(Text("tensor", "张量")),
        Column(Text("shape", "形状")),
        Column(Text("min", "最小值"), "number"),
        Column(Text("max", "最大值"), "number"),
    )
    return Section(
        "interface",
        Text("Inputs and outputs", "输入与输出"),
        Text("With their calibrated ranges.", "及其校准范围。"),
        columns,
        rows,
    )


def _memory(report: Report) -> Iterator[Section]:
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


def _rewrites(report: Report) -> Iterator[Section]:
    did = report.get("conversion") or {}
    saved = did.get("saved", {})
    now = (report.get("cost") or {}).get("packets", 0)
    rows = [[kind, name, times, saved.get(name)] for kind, name, times in did.get("rewrites", ())]
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


def warnings_of(report: Report) -> list[str]:
    """Every warning of the conversion and of what came after it."""
    did = report.get("conversion") or {}
    return [*did.get("warnings", ()), *report.get("warnings", ())]


def _warnings(report: Report) -> Iterator[Section]:
    yield Section(
        "warnings",
        Text("Warnings", "警告"),
        Text("What you have to know.", "您需要知道的事项。"),
        (Column(Text("warning", "警告")),),
        [[text] for text in warnings_of(report)],
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


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={item}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
