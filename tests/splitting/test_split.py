"""A model in two parts: where it is cut, that both together are the model, and what is rejected."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import yaml
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import hexconv
from hexconv.cli import group
from hexconv.compare import verify
from hexconv.conversion_record import Parts
from hexconv.errors import ConfigError
from hexconv.splitting.convert import NOT_CUT, convert_split

Array = npt.NDArray[Any]
SHAPES = {"x": (1, 3, 8, 8)}
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def classifier(**changes: Any) -> onnx.ModelProto:
    """A small CNN whose batch is dynamic, as exporters flatten it, and its three best classes."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], name="pool"),
        helper.make_node("Shape", ["g"], ["s"], name="shape"),
        helper.make_node("Gather", ["s", "zero"], ["n"], name="gather"),
        helper.make_node("Unsqueeze", ["n", "axis"], ["n1"], name="unsqueeze"),
        helper.make_node("Concat", ["n1", "rest"], ["t"], name="concat", axis=0),
        helper.make_node("Reshape", ["g", "t"], ["f"], name="flatten"),
        helper.make_node("MatMul", ["f", "w2"], ["l"], name="fc"),
        *changes.get(
            "tail",
            [
                helper.make_node("TopK", ["l", "k"], ["v", "i"], name="topk"),
                helper.make_node("Softmax", ["v"], ["p"], name="softmax"),
            ],
        ),
    ]
    consts = {
        "w": rng.standard_normal((8, 3, 3, 3)).astype("f4") / 5,
        "w2": rng.standard_normal((8, 10)).astype("f4"),
        "zero": np.array(0),
        "axis": np.array([0]),
        "rest": np.array([-1]),
        "k": np.array([3]),
    }
    outputs = changes.get("outputs", [("p", FLOAT), ("i", INT64)])
    inputs = [("x", FLOAT, ["N", 3, 8, 8]), *changes.get("inputs", [])]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        [numpy_helper.from_array(value, name) for name, value in consts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def images(count: int = 16) -> Array:
    """Samples for `classifier`."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((count, 1, 3, 8, 8)).astype(np.float32)


def run(proto: onnx.ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    """ONNX Runtime's outputs for the inputs that it needs."""
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [item.name for item in session.get_outputs()]
    wanted = {item.name: feeds[item.name] for item in session.get_inputs()}
    return dict(zip(names, session.run(None, wanted), strict=True))


def names(proto: onnx.ModelProto | None) -> list[str]:
    """Of the nodes."""
    assert proto is not None
    return [node.name for node in proto.graph.node]


def chained(parts: Parts, feeds: dict[str, Array]) -> dict[str, Array]:
    """Both parts in ONNX Runtime, one after the other."""
    assert parts.cpu is not None
    middle = run(parts.dsp, feeds)
    return {**middle, **run(parts.cpu, {**feeds, **middle})}


@pytest.mark.parametrize("at", ["c", "r", "g", "f", "l", ["l"], "auto"])
def test_both_parts_together_are_the_model(at: str | list[str]) -> None:
    proto = classifier()
    feeds = {"x": images()[0]}
    parts = hexconv.split(proto, at, SHAPES)
    together = chained(parts, feeds)
    for name, wanted in run(proto, feeds).items():
        np.testing.assert_allclose(together[name], wanted, rtol=1e-6)
    onnx.checker.check_model(parts.dsp, full_check=True)


def test_auto_cuts_before_what_the_dsp_cannot_run() -> None:
    parts = hexconv.split(classifier(), shapes=SHAPES)
    assert parts.cuts == ("l",)
    assert names(parts.cpu) == ["topk", "softmax"]
    assert "fc" in names(parts.dsp)


def test_the_simulated_dsp_part_and_the_cpu_part_reproduce_the_model() -> None:
    """Logits of 8 bits: probabilities of three classes within 2 %."""
    proto, samples = classifier(), images()
    model = convert_split(proto, "auto", SHAPES, [{"x": x} for x in samples])
    assert model.parts is not None
    assert model.parts.cpu is not None
    for x in samples[:4]:
        wanted = run(proto, {"x": x})
        result = run(model.parts.cpu, hexconv.simulate(model, {"x": x}))
        np.testing.assert_allclose(result["p"], wanted["p"], atol=0.02)


def test_a_model_that_runs_whole_is_not_cut() -> None:
    proto = classifier(tail=[], outputs=[("l", FLOAT)])
    assert hexconv.split(proto, "auto", SHAPES).cpu is None
    model = convert_split(proto, "auto", SHAPES, [{"x": x} for x in images(2)])
    assert model.parts is None
    assert model.conversion is not None
    assert NOT_CUT in model.conversion.warnings


def test_an_output_before_the_cut_stays_with_the_dsp() -> None:
    proto = classifier(outputs=[("p", FLOAT), ("r", FLOAT)])
    parts = hexconv.split(proto, "f", SHAPES)
    assert [item.name for item in parts.dsp.graph.output] == ["f", "r"]
    assert parts.cpu is not None
    assert [item.name for item in parts.cpu.graph.output] == ["p"]


def test_an_input_that_only_the_cpu_part_reads_is_fed_to_that() -> None:
    tail = [
        helper.make_node("Mul", ["l", "gain"], ["m"], name="mul"),
        helper.make_node("TopK", ["m", "k"], ["p", "i"], name="topk"),
    ]
    proto = classifier(tail=tail, inputs=[("gain", FLOAT, [1, 10])])
    gain = np.linspace(1, 2, 10, dtype=np.float32)[None]
    samples = [{"x": x, "gain": gain} for x in images(4)]
    model = convert_split(proto, "l", SHAPES, samples)
    assert model.parts is not None
    assert model.parts.only_cpu == ("gain",)
    assert [item.name for item in model.graph.inputs] == ["x"]
    together = chained(model.parts, samples[0])
    np.testing.assert_allclose(together["p"], run(proto, samples[0])["p"], rtol=1e-6)


def test_integers_may_feed_the_cpu_part() -> None:
    tail = [helper.make_node("Gather", ["l", "which"], ["p"], name="pick", axis=1)]
    proto = classifier(tail=tail, outputs=[("p", FLOAT)], inputs=[("which", INT64, [2])])
    parts = hexconv.split(proto, "auto", SHAPES)
    assert parts.cuts == ("l",)
    feeds = {"x": images()[0], "which": np.array([7, 2])}
    np.testing.assert_allclose(chained(parts, feeds)["p"], run(proto, feeds)["p"], rtol=1e-6)


def test_what_a_branch_reads_from_outside_is_handed_over() -> None:
    """If reads the logits inside its branches only."""

    def branch(op: str) -> onnx.GraphProto:
        return helper.make_graph(
            [helper.make_node(op, ["l"], [f"{op}_y"])],
            op,
            [],
            [helper.make_tensor_value_info(f"{op}_y", FLOAT, None)],
        )

    tail = [
        helper.make_node(
            "If", ["flag"], ["y"], name="if", then_branch=branch("Exp"), else_branch=branch("Neg")
        ),
    ]
    proto = classifier(tail=tail, outputs=[("y", FLOAT)], inputs=[("flag", TensorProto.BOOL, [])])
    parts = hexconv.split(proto, "auto", SHAPES)
    assert parts.cuts == ("l",)
    feeds = {"x": images()[0], "flag": np.array(True)}
    np.testing.assert_allclose(chained(parts, feeds)["y"], run(proto, feeds)["y"], rtol=1e-6)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (["ll"], "did you mean 'l'"),
        (["nowhere_near"], "there is no tensor 'nowhere_near'"),
        (["x"], "leaves nothing for the DSP"),
        (["w"], "leaves nothing for the DSP"),
        (["s"], "leaves nothing for the DSP"),
        (["p"], "leaves nothing for the CPU"),
        (["c", "f"], "'f' depends on another cut"),
        (["i"], "leaves nothing for the CPU"),
        ([], "no tensor is named"),
    ],
)
def test_cuts_that_cannot_be(at: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        hexconv.split(classifier(), at, SHAPES)
    assert said in str(caught.value)


def test_a_tensor_that_bypasses_the_cuts_is_named() -> None:
    tail = [
        helper.make_node("Softmax", ["l"], ["q"], name="softmax"),
        helper.make_node("Add", ["q", "l"], ["p"], name="add"),
    ]
    with pytest.raises(ConfigError) as caught:
        hexconv.split(classifier(tail=tail, outputs=[("p", FLOAT)]), "q", SHAPES)
    assert "'l' bypasses them" in str(caught.value)
    assert caught.value.hint == "use --split l", "q depends on it"
    tail = [
        helper.make_node("Softmax", ["l"], ["q"], name="softmax"),
        helper.make_node("Tanh", ["l"], ["u"], name="tanh"),
        helper.make_node("Add", ["q", "u"], ["p"], name="add"),
    ]
    with pytest.raises(ConfigError) as caught:
        hexconv.split(classifier(tail=tail, outputs=[("p", FLOAT)]), "q", SHAPES)
    assert caught.value.hint == "use --split q,u"


def test_a_cut_of_integers_is_rejected() -> None:
    tail = [
        helper.make_node("TopK", ["l", "k"], ["v", "i"], name="topk"),
        helper.make_node("Add", ["i", "i"], ["p"], name="add"),
    ]
    with pytest.raises(ConfigError, match="type int64"):
        hexconv.split(classifier(tail=tail, outputs=[("p", INT64)]), "i", SHAPES)


def test_a_model_that_begins_on_the_cpu_is_said_to() -> None:
    embed = [
        helper.make_node("Gather", ["table", "ids"], ["e"], name="embed"),
        helper.make_node("Relu", ["e"], ["y"], name="relu"),
    ]
    table = numpy_helper.from_array(np.ones((9, 4), np.float32), "table")
    graph = helper.make_graph(
        embed,
        "head",
        [helper.make_tensor_value_info("ids", INT64, [1, 5])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [table],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(ConfigError) as caught:
        hexconv.split(proto)
    assert "nothing is left for the DSP" in str(caught.value)


def test_convert_writes_both_parts_and_a_yaml_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(classifier(), "net.onnx")
    np.save("x.npy", images()[:, 0])
    arguments = ["--shape", "x=1,3,8,8", "--samples", "x.npy", "-o", "build"]
    shown = CliRunner().invoke(group, ["convert", "net.onnx", *arguments, "--split", "r,"])
    assert shown.exit_code == 2
    shown = CliRunner().invoke(group, ["convert", "net.onnx", *arguments, "--split", "auto"])
    assert shown.exit_code == 0, shown.output
    assert "split at" in shown.output
    entry = yaml.safe_load(Path("build/net.yml").read_text())["models"]["net"]
    (subgraph,) = entry["subgraphs"]
    assert subgraph["output_tensors"] == ["l"]
    assert entry["model_file_path"] == "net.dsp.onnx"
    content = Path("build/net.dsp.onnx").read_bytes()
    assert entry["model_sha256_checksum"] == hashlib.sha256(content).hexdigest()
    cpu = onnx.load("build/net.cpu.onnx")
    assert [item.name for item in cpu.graph.input] == ["l"]
    report = json.loads(Path("build/net.report.json").read_text())
    assert report["split"]["cuts"] == ["l"]
    again = CliRunner().invoke(
        group, ["convert", "--config", "build/net.yml", "--samples", "x.npy", "-o", "b2", "-q"]
    )
    assert again.exit_code == 0, again.output
    assert Path("b2/net.pb").read_bytes() == Path("build/net.pb").read_bytes()


def test_a_softmax_at_the_end_keeps_small_probabilities_on_the_cpu(tmp_path: Path) -> None:
    """The DSP returns logits; both parts together lose less than the whole in 8 bits."""
    tail = [helper.make_node("Softmax", ["l"], ["p"], name="softmax", axis=-1)]
    proto = classifier(tail=tail, outputs=[("p", FLOAT)])
    onnx.save(proto, tmp_path / "net.onnx")
    feeds = [{"x": image} for image in images(8)]
    whole = hexconv.convert(tmp_path / "net.onnx", SHAPES, samples=feeds)
    model = convert_split(tmp_path / "net.onnx", "l", SHAPES, samples=feeds)
    model.save(tmp_path / "build")
    dsp = hexconv.load(tmp_path / "build" / "net.pb")
    cpu = onnxruntime.InferenceSession(tmp_path / "build" / "net.cpu.onnx")
    both = np.stack([cpu.run(None, hexconv.simulate(dsp, feed))[0] for feed in feeds])
    alone = np.stack([hexconv.simulate(whole, feed)["p"] for feed in feeds])
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    wanted = np.stack([session.run(None, feed)[0] for feed in feeds])
    assert np.abs(both.sum(axis=-1) - 1.0).max() < 1e-5
    assert np.abs(both / wanted - 1.0).max() < 0.1 < np.abs(alone / wanted - 1.0).max()
    report = json.loads((tmp_path / "build" / "net.report.json").read_text())
    assert report["split"]["cpu_inputs"] == ["l"] and report["split"]["cpu_nodes"] == 1
    compared = verify(dsp, tmp_path / "build" / "net.dsp.onnx", feeds)
    assert [row.name for row in compared.outputs] == ["l"]


@pytest.mark.parametrize("function", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_convert_says_that_the_last_function_can_be_computed_in_float(
    function: str, tmp_path: Path
) -> None:
    tail = [
        helper.make_node(function, ["l"], ["q"], name="last"),
        helper.make_node("Identity", ["q"], ["p"], name="named"),
    ]
    onnx.save(classifier(tail=tail, outputs=[("p", FLOAT)]), tmp_path / "net.onnx")
    arguments = ["convert", str(tmp_path / "net.onnx"), "--shape", "x=1,3,8,8", "--html"]
    folders = [tmp_path / "whole", tmp_path / "split"]
    whole, split = (
        CliRunner().invoke(group, [*arguments, *more, "-o", str(folder)])
        for folder, more in zip(folders, ([], ["--split", "l"]), strict=True)
    )
    assert whole.exit_code == 0 and split.exit_code == 0, whole.output + split.output
    (note,) = [line for line in whole.stderr.splitlines() if line.startswith("note:")]
    assert "8-bit output 'p': 8 bits hold " in note and "--split l " in note
    assert "note:" not in split.stderr
    offers = [
        json.loads((folder / "net.report.json").read_text())["conversion"]["full_precision"]
        for folder in folders
    ]
    assert [offer["option"] for offer in offers[0]] == ["--split l"] and not offers[1]
    assert offers[0][0]["op"] == function and offers[0][0]["reason"] in note
    page = (folders[0] / "net.report.html").read_text()
    assert "Outputs in full precision" in page and "--split l" in page


def test_a_function_of_an_input_or_in_the_middle_is_no_place_to_cut() -> None:
    middle = [
        helper.make_node("Softmax", ["l"], ["q"], name="softmax"),
        helper.make_node("Add", ["q", "l"], ["p"], name="sum"),
    ]
    feeds = [{"x": image} for image in images(2)]
    model = hexconv.convert(classifier(tail=middle, outputs=[("p", FLOAT)]), SHAPES, samples=feeds)
    assert model.conversion is not None and not model.conversion.full_precision
