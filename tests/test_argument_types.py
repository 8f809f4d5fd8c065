"""Arguments of another type are one error that names the argument and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import hexconv
from hexconv import calibrate, device, report, simulator
from hexconv.cost import node_packets
from hexconv.errors import ConfigError, HexconvError
from hexconv.settings import Settings
from tests.lowering.proof import model, numbers

PROTO = model([helper.make_node("Relu", ["x"], ["y"])], {"x": (4, 8)}, ["y"])
FEEDS = {"x": numbers((4, 8))}
CONVERTED = hexconv.convert(PROTO, samples=[FEEDS])


class Odd:
    """Neither a number, nor a list, nor a path."""


WRONG: list[Any] = [
    5,
    1.5,
    b"abc",
    Odd(),
    Odd,
    [1],
    [None],
    {1: 2},
    {"x": None},
    {"x": "a"},
    {"x": [1, "b"]},
    {"x": Odd()},
    {5},
    range(3),
    1j,
    np.array(["a"]),
]
"""Each may be right for one argument or another; for none is it a bare error."""


def settings_of(name: str) -> Callable[[Any], Any]:
    return lambda value: hexconv.convert(PROTO, samples=[FEEDS], **{name: value})


CALLS: dict[str, Callable[[Any], Any]] = {
    "source": lambda v: hexconv.convert(v, samples=[FEEDS]),
    "shapes": lambda v: hexconv.convert(PROTO, v, [FEEDS]),
    "samples": lambda v: hexconv.convert(PROTO, samples=v),
    "ranges": lambda v: hexconv.convert(PROTO, ranges=v),
    "check's source": lambda v: hexconv.check(v),
    "check's shapes": lambda v: hexconv.check(PROTO, v),
    "check's constants": lambda v: hexconv.check(PROTO, constants=v),
    "check's outputs": lambda v: hexconv.check(PROTO, outputs=v),
    "simulated model": lambda v: hexconv.simulate(v, FEEDS),
    "feeds": lambda v: hexconv.simulate(CONVERTED, v),
    "taps": lambda v: hexconv.simulate(CONVERTED, FEEDS, taps=v),
    "library": lambda v: hexconv.simulate(CONVERTED, FEEDS, library=v),
    "axes": lambda v: hexconv.stream(CONVERTED, FEEDS, v),
    "float_source": lambda v: hexconv.verify(CONVERTED, v, [FEEDS]),
    "held_out": lambda v: hexconv.verify(CONVERTED, PROTO, held_out=v),
    "verify's device": lambda v: hexconv.verify(CONVERTED, PROTO, [FEEDS], device=v),
    "metrics": lambda v: hexconv.verify(CONVERTED, PROTO, [FEEDS], metrics=v),
    "loaded path": lambda v: hexconv.load(v),
    "at": lambda v: hexconv.split(PROTO, v),
    "qdq": lambda v: hexconv.to_qdq(PROTO, samples=v),
    "config": lambda v: hexconv.convert_deployment(v),
    "costed model": lambda v: hexconv.cost.predict(v),
    "cost's library": lambda v: hexconv.cost.predict(CONVERTED, v),
    "input_shapes": lambda v: node_packets("QuantizedRelu_8", v),
    "exported model": lambda v: hexconv.exact.export(v),
    "exact's library": lambda v: hexconv.exact.export(CONVERTED, v),
    "inputs to save": lambda v: CONVERTED.save("here", inputs=v),
    "report to save": lambda v: CONVERTED.save("here", report=v),
    "more to save": lambda v: CONVERTED.save("here", more=v),
    "page": lambda v: report.html(v),
    "markdown": lambda v: report.markdown(v),
    "junit": lambda v: report.junit_xml(v),
    "diff": lambda v: report.compare_reports(v, v),
    "report file": lambda v: report.read_report(v),
    "images": lambda v: calibrate.Images(".", mean=v),
    "range file": lambda v: calibrate.read_ranges(v),
    "ranges to write": lambda v: calibrate.write_ranges("a.ranges", v),
    "arrays": lambda v: simulator.run_op("QuantizedRelu_8", v),
    "seconds": lambda v: device.Limits(seconds=v),
    **{item.name: settings_of(item.name) for item in fields(Settings)},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("argument", CALLS)
def test_an_argument_of_another_type_is_one_clear_error(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    raised = 0
    for value in WRONG:
        if argument == "progress" and callable(value):
            continue  # a function of other arguments is called, and raises its own error
        try:
            CALLS[argument](value)
        except HexconvError as error:
            raised += 1
            assert error.what
    assert raised >= len(WRONG) // 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: hexconv.convert(PROTO, samples=5),  # type: ignore[arg-type]
            "samples=5 is not a path, {input: path}, or a list of {input: array}",
        ),
        (
            lambda: hexconv.convert(PROTO, {"x": "4,8"}),
            "shapes['x']='4,8' is not a list of whole numbers",
        ),
        (
            lambda: hexconv.convert(PROTO, ranges={"x": (1.0,)}),  # type: ignore[dict-item]
            "ranges['x']=(1.0,) is not two numbers, (min, max)",
        ),
        (
            lambda: hexconv.check(PROTO, {3: (4, 8)}),  # type: ignore[dict-item]
            "shapes: the key 3 is not a name",
        ),
        (
            lambda: hexconv.convert(PROTO, samples=[FEEDS], outputs="y"),
            "outputs='y' is not a list of names",
        ),
        (
            lambda: hexconv.simulate(PROTO, FEEDS),  # type: ignore[arg-type]
            "model=<ModelProto> is not a converted model",
        ),
    ],
)
def test_the_error_names_the_argument_its_value_and_what_it_takes(
    call: Callable[[], Any], said: str
) -> None:
    with pytest.raises(ConfigError) as found:
        call()
    assert str(found.value) == said
