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


def test_the_lower_end_is_a_dsp_at_full_clock() -> None:
    """Published totals of two networks are 0.34 and 0.36 of the published profile's."""
    time = cost.predict(chain(["QuantizedAdd_8p8to8"])).time("sd855")
    assert time.low == pytest.approx(0.35 * time.high)


def test_a_node_that_only_moves_data_costs_more_than_its_packets_say() -> None:
    stream = soc.node_time("QuantizedRelu_8", 1000, 200_000, "sd845").milliseconds
    scatter = soc.node_time("Convert_to_d32", 1000, 200_000, "sd845").milliseconds
    compute = soc.node_time("QuantizedMatMul_8x8to32", 100_000, 200_000, "sd845").milliseconds
    assert scatter > 3 * stream
    assert compute < 100 * stream


def test_every_soc_says_where_its_figures_come_from() -> None:
    libraries = {key: soc.soc(key).library for key in soc.names()}
    assert libraries == {
        **dict.fromkeys(["sd820", "sd660", "sd835"], "v60"),
        **dict.fromkeys(["sd670", "sd710", "sd845"], "v65"),
        **dict.fromkeys(["sd855", "sd865"], "v66"),
    }
    for key in soc.names():
        assert "clock" in soc.soc(key).source
        assert "contexts" in soc.soc(key).source


def test_an_unknown_soc_is_rejected_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match="sd855"):
        cost.predict(chain(["QuantizedRelu_8"])).time("sd999")
