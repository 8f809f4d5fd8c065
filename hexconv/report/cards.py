"""The first screen of the HTML report: does it run, how good, how fast, what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from hexconv.report.accuracy_sections import SETS
from hexconv.report.document import Report, accuracy_rows, warnings_of
from hexconv.report.parts import Card, Text, message, same

GOOD, FAIR = 30.0, 15.0
"""dB of the worst output from which on it is shown as good, and as usable."""
MOST_STEPS = 4


def cards(report: Report) -> list[Card]:
    """The four statements, where the report has something to say on them."""
    made = (_runs(report), _good(report), _fast(report))
    return [card for card in made if card is not None]


def _runs(report: Report) -> Card | None:
    title = Text("Does it run?", "能运行吗？")
    coverage = report.get("coverage")
    if coverage is None:
        return None
    missing = sum(bool(node["reason"]) for node in coverage.get("nodes", ()))
    shares = f"{coverage['node_share']:.1%}", f"{coverage['mac_share']:.1%}"
    detail = Text(
        f"{shares[0]} of the nodes and {shares[1]} of the multiply-accumulates in int8",
        f"{shares[0]} 的节点、{shares[1]} 的乘加为 int8",
    )
    if coverage["ok"]:
        return Card("runs", title, Text("Yes", "能"), detail, "good", "layers")
    value = Text(f"No: {missing} unsupported", f"不能：{missing} 个不支持")
    return Card("runs", title, value, detail, "bad", "unsupported")


def _good(report: Report) -> Card | None:
    title = Text("How good?", "精度如何？")
    rows = [
        (row[key]["sqnr"], key, row)
        for row in accuracy_rows(report, "outputs")
        for key in ("held_out", "calibration", "random")
        if row[key] is not None
    ]
    if not rows:
        return None
    sqnr, key, row = min(rows, key=lambda item: item[0])
    if key == "random":
        told = Text("on random inputs: no measure of real use", "基于随机输入，不反映实际使用")
        return Card("good", title, same(f"{sqnr:.1f} dB"), told, "warn", "outputs")
    exact = (report.get("accuracy") or {}).get("exact_sqnr", 200.0)
    value = Text("exact", "完全一致") if sqnr >= exact else same(f"{sqnr:.1f} dB SQNR")
    allowed = row["allowed"]
    shown = allowed is not None and allowed > sqnr
    beside = f" (8 bits allow {allowed:.1f})" if shown else ""
    beside_zh = f"（8 位所允许 {allowed:.1f}）" if shown else ""
    on = key.replace("_", "-")
    detail = Text(
        f"worst output: {row['name']}, {on} samples{beside}",
        f"最差的输出：{row['name']}，{SETS[key].zh}{beside_zh}",
    )
    state = "good" if sqnr >= GOOD else "warn" if sqnr >= FAIR else "bad"
    return Card("good", title, value, detail, state, "outputs")


def _fast(report: Report) -> Card | None:
    title = Text("How fast?", "多快？")
    cost = report.get("cost")
    if cost is None:
        return None
    low, high = cost["milliseconds_low"], cost["milliseconds_high"]
    memory = max(cost["memory"]["prepare"], cost["memory"]["execute"]) / 2**20
    measured = (report.get("profile") or {}).get("total")
    soc = cost["soc"].upper()
    value = same(f"{low:.3g}-{high:.3g} ms" if measured is None else f"{measured:.3g} ms")
    how = (
        Text(f"predicted for {soc}", f"针对 {soc} 的预测")
        if measured is None
        else Text(f"measured; predicted {low:.3g}-{high:.3g}", f"测量值；预测 {low:.3g}-{high:.3g}")
    )
    packets = f"{cost['packets'] / 1e6:.2f} M"
    detail = Text(
        f"{how.en}; {packets} packets, {len(cost['nodes'])} nodes, {memory:.1f} MiB of heap",
        f"{how.zh}；{packets} 指令包，{len(cost['nodes'])} 个节点，{memory:.1f} MiB 堆",
    )
    return Card("fast", title, value, detail, "plain", "nodes")


def steps(report: Report) -> list[Text]:
    """What to do next, the most important first."""
    return list(_steps(report))[:MOST_STEPS]


def _steps(report: Report) -> Iterator[Text]:
    coverage = report.get("coverage") or {}
    if coverage and not coverage["ok"]:
        yield Text(
            "Follow the hints for the unsupported nodes, or cut the model: convert --split auto.",
            "按照不支持节点的建议修改，或用 convert --split auto 切分模型。",
        )
    if warnings_of(report):
        yield Text("Read the warnings below.", "阅读下面的警告。")
    outputs = accuracy_rows(report, "outputs")
    if any(row["random"] is not None for row in outputs):
        yield Text(
            "Give samples of real use: hexconv convert MODEL.onnx --samples FOLDER.",
            "提供实际使用的样本：hexconv convert MODEL.onnx --samples FOLDER。",
        )
    layers = accuracy_rows(report, "layers")
    if layers and layers[0]["advice"]:
        tensor, advice = layers[0]["tensor"], message(layers[0]["advice"][0])
        yield Text(f"Worst layer {tensor}: {advice.en}", f"最差的层 {tensor}：{advice.zh}")
    elif outputs and not layers:
        yield Text(
            "Measure on samples that calibration has not seen, layer by layer: hexconv verify "
            "MODEL.onnx --samples FOLDER --test HELD_OUT --html.",
            "在校准未见过的样本上逐层测量：hexconv verify MODEL.onnx --samples FOLDER "
            "--test HELD_OUT --html。",
        )
    yield from _cost_steps(report)


def _cost_steps(report: Report) -> Iterator[Text]:
    cost = report.get("cost")
    if not cost or not cost["packets"] or not cost["by_layer"]:
        return
    name, row = max(cost["by_layer"].items(), key=lambda item: item[1]["packets"])
    share = f"{row['packets'] / cost['packets']:.0%}"
    yield Text(
        f"The most expensive node is {name}: {share} of the packets.",
        f"开销最大的节点是 {name}：占指令包的 {share}。",
    )
    if report.get("profile") is None and report.get("name"):
        command = f"hexconv phone {report['name']}.pb"
        yield Text(f"Run it on a phone: {command}.", f"在手机上运行：{command}。")
