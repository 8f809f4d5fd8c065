"""Rows of two runs aligned: by MACE's node ids, by order, and in n log n."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexconv.cost import predict
from hexconv.cost.align import _matches, pair_logs, pair_prediction, unlike
from hexconv.cost.logs import Log, LogNode, parse_log
from hexconv.cost.mace_tables import mace_id, tables
from hexconv.cost.prediction import Cost
from hexconv.errors import FileError

from .networks import chain

OPS = ["Supernode_8x8p32to8_d32", "QuantizedAdd_8p8to8", "Transpose_8", "QuantizedRelu_8"]


def log(ops: list[str], value: float = 1.0) -> Log:
    return Log("x", "ms", tuple(LogNode(None, "", op, 1, value) for op in ops))


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
def test_each_row_is_there_once_and_matches_are_equal_and_in_order(
    before: list[str], after: list[str]
) -> None:
    matches = _matches(before, after)
    assert all(before[i] == after[j] for i, j in matches)
    assert matches == sorted(matches) and len({j for _, j in matches}) == len(matches)
    pairs = pair_logs(log(before, 1.0), log(after, 3.0))
    assert [p.op for p in pairs if p.before is not None] == before
    assert [p.op for p in pairs if p.after is not None] == after
    assert sum(p.change for p in pairs) == pytest.approx(3.0 * len(after) - len(before))


@given(st.lists(st.sampled_from("ab"), min_size=300, max_size=600), st.randoms())
def test_so_it_is_with_logs_that_are_too_long_for_a_quadratic_search(
    before: list[str], chance: random.Random
) -> None:
    after = changed(before, 0.2, chance)
    matches = _matches(before, after)
    assert all(before[i] == after[j] for i, j in matches)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(matches))


def changed(ops: list[str], share: float, chance: random.Random) -> list[str]:
    """Some rows taken out, others put in."""
    made = []
    for op in ops:
        drawn = chance.random()
        if drawn < share / 2:
            continue
        if drawn < share:
            made.append(chance.choice("abcdefgh"))
        made.append(op)
    return made


LAYERS = [random.Random(2).choice("abcdefgh") for _ in range(40)]


@pytest.mark.parametrize(
    "ops",
    [LAYERS * 2500, [random.Random(3).choice("abcdefgh") for _ in range(100_000)], ["a"] * 100_000],
    ids=["equal layers", "unlike rows", "one op"],
)
def test_a_hundred_thousand_rows_take_seconds(ops: list[str]) -> None:
    after = changed(ops, 0.01, random.Random(4))
    start = time.process_time()
    pairs = pair_logs(log(ops), log(after))
    assert time.process_time() - start < 20  # 3 s, where nothing else runs
    matched = sum(p.before is not None and p.after is not None for p in pairs)
    assert matched > 0.97 * len(ops)


def test_long_logs_without_anything_in_common_take_no_longer() -> None:
    start = time.process_time()
    pairs = pair_logs(log(["a"] * 50_000), log(["b"] * 50_000))
    assert time.process_time() - start < 20
    assert len(pairs) == 100_000


@pytest.fixture(scope="module")
def cost() -> Cost:
    return predict(chain(["QuantizedAdd_8p8to8", "QuantizedRelu_8", "QuantizedMul_8x8to8"] * 4))


def rows(cost: Cost, times: dict[int, float]) -> list[tuple[int, str, int, float]]:
    return [(mace_id(n.id), n.op, 1, times.get(n.id, 1.0)) for n in cost.nodes]


def test_rows_are_matched_by_maces_node_id_in_whatever_order(cost: Cost) -> None:
    times = {node.id: 1.0 + number for number, node in enumerate(cost.nodes)}
    shuffled = rows(cost, times)
    random.Random(1).shuffle(shuffled)
    pairs = pair_prediction(cost, "sd855", parse_log(tables(shuffled)))
    assert [pair.after for pair in pairs] == list(times.values())
    assert [pair.name for pair in pairs] == [n.onnx_node or n.name for n in cost.nodes]


def test_an_id_of_another_op_is_no_match(cost: Cost) -> None:
    first, *rest = rows(cost, {})
    other = (first[0], "Transpose_8", 1, 9.0)
    pairs = pair_prediction(cost, "sd855", parse_log(tables([other, *rest])))
    assert pairs[0].after is None
    assert (pairs[-1].op, pairs[-1].before, pairs[-1].after) == ("Transpose_8", None, 9.0)
    assert len(pairs) == len(cost.nodes) + 1


def test_logs_with_other_ids_are_matched_by_their_order(cost: Cost) -> None:
    plain = [(number, op, 1, 2.0) for number, (_, op, _, _) in enumerate(rows(cost, {}))]
    pairs = pair_prediction(cost, "sd855", parse_log(tables(plain)))
    assert len(pairs) == len(cost.nodes)
    assert all(pair.after == 2.0 for pair in pairs)


def test_the_log_of_another_model_is_noticed(cost: Cost) -> None:
    other = [(number, f"Other_{number}", 1, 2.0) for number in range(9)]
    said = unlike(pair_prediction(cost, "sd855", parse_log(tables(other))))
    assert "9 of its 9 rows" in said
    same = parse_log(tables(rows(cost, {})))
    assert unlike(pair_prediction(cost, "sd855", same)) == ""


def test_ids_are_what_maces_runtime_makes_of_them() -> None:
    assert mace_id(7) == 10_007
    assert mace_id((1 << 32) - 3) == -3


def test_a_graph_too_large_for_maces_table_is_reported() -> None:
    text = "I MACE: Get perf info\nF MACE: Check failed: get perf info error"
    with pytest.raises(FileError, match="more than 2,048 nodes") as caught:
        parse_log(text)
    assert "cut the model" in str(caught.value)


def test_a_benchmark_without_the_dsps_table_says_what_is_missing(tmp_path: Path) -> None:
    text = "I MACE: model name: net\nI MACE: Average latency: 3.1 ms\n"
    with pytest.raises(FileError, match="MACE_CPP_MIN_VLOG_LEVEL=1"):
        parse_log(text)
