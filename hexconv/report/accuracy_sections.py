"""Sections of the report about accuracy: outputs, layers, ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexconv.report.document import Report, accuracy_rows, figures_of
from hexconv.report.parts import LAYER, OP, Column, Section, Text, message

SETS = {
    "calibration": Text("calibration samples", "校准样本"),
    "held_out": Text("held-out samples", "保留样本"),
    "random": Text("random inputs", "随机输入"),
}


def outputs(report: Report) -> Iterator[Section]:
    """How good each output is, by set of samples."""
    rows = []
    for row in accuracy_rows(report, "outputs"):
        for key in SETS:
            found = row[key]
            if found is not None:
                figures = [found[name] for name in ("cosine", "max_error", "peak", "close", "top1")]
                start = [row["name"], SETS[key], found["samples"], found["sqnr"]]
                rows.append([*start, row["allowed"], found.get("centered"), *figures])
    columns = (
        Column(Text("output", "输出")),
        Column(Text("samples", "样本")),
        Column(Text("number", "个数"), "integer"),
        Column(Text("SQNR, dB", "SQNR，dB"), "db"),
        Column(Text("8 bits allow, dB", "8 位所允许，dB"), "db"),
        Column(Text("mean removed, dB", "去均值，dB"), "db"),
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


def parts(report: Report) -> Iterator[Section]:
    """How good each tensor is that is joined with others into an output."""
    rows = [
        [row["name"], *(part[key] for key in ("tensor", "sqnr", "allowed", "values"))]
        for row in accuracy_rows(report, "outputs")
        for part in row["parts"]
    ]
    columns = (
        Column(Text("output", "输出")),
        Column(Text("joined tensor", "拼接的张量")),
        Column(Text("SQNR, dB", "SQNR，dB"), "db"),
        Column(Text("8 bits allow, dB", "8 位所允许，dB"), "db"),
        Column(Text("different values", "不同数值"), "integer"),
    )
    yield Section(
        "parts",
        Text("Parts of joined outputs", "拼接输出的各部分"),
        Text(
            "Tensors that a Concat joins into an output share its range: one with few different "
            "values should be an output of its own.",
            "由 Concat 拼接成输出的张量共用一个范围：不同数值很少的张量应单独作为输出。",
        ),
        columns,
        rows,
    )


def metrics(report: Report) -> Iterator[Section]:
    """The user's metrics, of the float model and of the quantized one."""
    rows = [
        [row["name"], SETS[key], row[key]["float_model"], row[key]["quantized"]]
        for row in accuracy_rows(report, "metrics")
        for key in SETS
        if row.get(key) is not None
    ]
    columns = (
        Column(Text("metric", "指标")),
        Column(Text("samples", "样本")),
        Column(Text("float model", "浮点模型"), "number"),
        Column(Text("quantized model", "量化模型"), "number"),
    )
    yield Section(
        "metrics",
        Text("Your metrics", "自定义指标"),
        Text(
            "Functions given with --metric, on the outputs of both models.",
            "由 --metric 给出的函数，在两个模型的输出上计算。",
        ),
        columns,
        rows,
    )


def layer_errors(report: Report) -> Iterator[Section]:
    """The error of each layer, alone and accumulated."""
    layers = accuracy_rows(report, "layers")
    rows = []
    for row in sorted(layers, key=lambda item: item["position"]):
        figures = figures_of(row)
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
                _advice(row["advice"]),
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


def _advice(given: Sequence[str]) -> Text:
    texts = [message(text) for text in given]
    return Text("; ".join(text.en for text in texts), "；".join(text.zh for text in texts))


def ranges(report: Report) -> Iterator[Section]:
    """How the values of each tensor fill its range."""
    rows, histograms = [], []
    for row in accuracy_rows(report, "layers"):
        fit = figures_of(row)["fit"]
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
