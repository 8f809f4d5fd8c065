"""Milliseconds on a phone: rough, monotonous, and with a range."""

from __future__ import annotations

import pytest

from hexconv import cost
from hexconv.cost import soc
from hexconv.errors import ConfigError
from tests.cost.networks import chain


def test_a_later_soc_is_faster() -> None:
    predicted = cost.predict(chain(["QuantizedAdd_8p8to8"] * 3))
    times = [predicted.milliseconds(soc=key) for key in ("sd835", "sd845", "sd855")]
    assert times[0] > times[1] > times[2] > 0


def test_a_time_is_within_its_range() -> None:
    time = cost.predict(chain(["QuantizedAdd_8p8to8"])).time("sd855")
    assert time.low < time.milliseconds < time.high


def test_a_node_that_only_moves_data_costs_more_than_its_packets_say() -> None:
    stream = soc.node_time("QuantizedRelu_8", 1000, 200_000, "sd845").milliseconds
    scatter = soc.node_time("Convert_to_d32", 1000, 200_000, "sd845").milliseconds
    compute = soc.node_time("QuantizedMatMul_8x8to32", 100_000, 200_000, "sd845").milliseconds
    assert scatter > 3 * stream
    assert compute < 100 * stream


def test_every_soc_says_where_its_figures_come_from() -> None:
    assert soc.names() == ["sd835", "sd845", "sd855"]
    for key in soc.names():
        assert "clock" in soc.soc(key).source
        assert "contexts" in soc.soc(key).source


def test_an_unknown_soc_is_rejected_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match="sd855"):
        cost.predict(chain(["QuantizedRelu_8"])).time("sd999")
