"""Profile logs: MACE's tables amid noise, nnlib's counters, and what is no log."""

from __future__ import annotations

from pathlib import Path

import pytest

from hexconv.cost.advice import advise, table
from hexconv.cost.align import pair_logs
from hexconv.cost.logs import Log, parse_log, read_log
from hexconv.cost.mace_tables import tables
from hexconv.errors import FileError
from hexconv.nnlib.ops import catalogue
from hexconv.optimize.registry import REWRITES

PUBLISHED = Path(__file__).parents[1] / "golden" / "logs" / "published_encoder.log"
NODES = [
    (501, "QuantizeINPUT_f_to_8", 208, 0.079),
    ((1 << 32) - 3, "Convert_to_d32", 145, 1.5),
    (503, "Supernode_8x8p32to8_d32", 185, 2.25),
    (504, "Supernode_8x8p32to8_d32", 185, 0.75),
    ((1 << 32) - 4, "Convert_from_d32", 146, 0.125),
]
COUNTERS = """\
node,id,name,op,executions,cycles
0,0x10,speech,INPUT,2,1000
1,0x11,"conv1, out",Supernode_8x8p32to8_d32,2,90000
2,17,relu,QuantizedRelu_8,0,500
"""


def log_text() -> str:
    return tables(NODES) + "\n"


def test_the_published_profile_is_read_from_a_logcat() -> None:
    log = read_log(PUBLISHED)
    assert log.by_type["QuantizedDiv_8"].count == 13
    assert log.by_type["QuantizedDiv_8"].value == 43.847
    assert len(log.by_type) == 21
    assert log.total == pytest.approx(97.502)
    assert next(iter(log.by_type)) == "QuantizedDiv_8"
    assert any("Run Order' is missing" in note for note in log.notes)


def test_both_tables_as_mace_prints_them() -> None:
    log = parse_log(log_text())
    assert [node.op for node in log.nodes] == [op for _, op, _, _ in NODES]
    assert [node.id for node in log.nodes] == [501, -3, 503, 504, -4]
    assert log.by_type["Supernode_8x8p32to8_d32"] == log.stated["Supernode_8x8p32to8_d32"]
    assert log.total == pytest.approx(4.704)
    assert log.notes == ()


@pytest.mark.parametrize(
    "prefix",
    ["", "I statistics.cc:343 ", "11-22 16:31:07.125  9321  9321 I MACE    : ", "[16:31] > "],
)
def test_prefixes_and_noise_between_the_rows_do_not_matter(prefix: str) -> None:
    noisy = "\n".join(
        f"{prefix}{line}\n11-22 W Activity: slow | binder\nWARNING: пакет 超时"
        for line in log_text().splitlines()
    )
    log = parse_log("start\n" + noisy + "\ntotal duration: 4704\n")
    assert len(log.nodes) == 5
    assert log.total == pytest.approx(4.704)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
def test_encodings_of_windows_and_chinese_consoles(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "手机.log"
    path.write_bytes(("设备日志：开始\r\n" + log_text().replace("\n", "\r\n")).encode(encoding))
    assert len(read_log(path).nodes) == 5


def test_a_decimal_comma_is_understood() -> None:
    log = parse_log(log_text().replace("0.079", "0,079").replace("2.250", "2,250"))
    assert log.nodes[0].value == pytest.approx(0.079)


def test_a_log_cut_in_the_run_order_says_so() -> None:
    lines = log_text().splitlines()
    text = "\n".join(lines[:8]) + "\n" + lines[8][:20]
    log = parse_log(text)
    assert len(log.nodes) == 3
    assert any("cut" in note for note in log.notes)
    assert any("'Sort by Duration' is missing" in note for note in log.notes)


def test_sums_of_the_log_are_used_where_its_rows_are_cut() -> None:
    lines = log_text().splitlines()
    log = parse_log("\n".join(lines[:7] + lines[10:]))
    assert len(log.nodes) == 2
    assert log.total == pytest.approx(4.704)
    assert any("has 2 nodes" in note for note in log.notes)


def test_of_several_runs_the_last_whole_one_is_read() -> None:
    slower = tables([(n, op, t, 2 * ms) for n, op, t, ms in NODES])
    cut = "\n".join(log_text().splitlines()[:7])
    log = parse_log("\n".join([log_text(), slower, cut]))
    assert log.total == pytest.approx(2 * 4.704)
    assert any("3 runs" in note for note in log.notes)


def test_tables_of_two_different_runs_are_noticed() -> None:
    lines = log_text().splitlines()
    other = tables([(n, op, t, 3 * ms) for n, op, t, ms in NODES]).splitlines()
    log = parse_log("\n".join(lines[:11] + other[11:]))
    assert any("two runs are mixed" in note for note in log.notes)


def test_counters_are_read_with_names_and_per_execution() -> None:
    log = parse_log("noise\n" + COUNTERS + "cut,off\n")
    assert log.unit == "cycles"
    assert [node.value for node in log.nodes] == [500, 45000, 500]
    assert log.nodes[1].name == "conv1, out"
    assert log.nodes[0].id == 16
    assert any("1 incomplete lines" in note for note in log.notes)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n \r\n", "empty"),
        (b"hello\nworld\n", "not a profile"),
        (b"I MACE: Run model\nhexagon started\n", "profiling was not on"),
        (b"     Sort by Run Order\n------\n", "cut after it"),
        (log_text().split("\n|     501")[0].encode(), "cut after them"),
        (b"node,id,name,op,executions,cycles\n", "no complete row"),
        (b"\x7fELF" + b"\0" * 100, "binary"),
        (bytes(range(256)) * 9, "not a profile"),
        ("| 节点 | 类型 | 耗时 |\n| 1 | 2 | 3 |\n".encode("gbk"), "not a profile"),
    ],
)
def test_what_is_no_profile_is_rejected_with_a_reason(
    content: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "phone.log"
    path.write_bytes(content)
    with pytest.raises(FileError) as unsupported_op:
        read_log(path)
    assert says in str(unsupported_op.value)


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_log(tmp_path / "none.log")


def _log(ops: list[str], value: float) -> Log:
    return parse_log(tables([(i, op, 1, value) for i, op in enumerate(ops)]))


def test_two_runs_are_laid_beside_each_other_row_by_row() -> None:
    before = _log(
        ["QuantizeINPUT_f_to_8", "QuantizedMatMul_8x8to32", "Requantize_32to8", "QuantizedRelu_8"],
        2.0,
    )
    after = _log(["QuantizeINPUT_f_to_8", "Supernode_8x8p32to8_d32", "QuantizedRelu_8"], 1.0)
    pairs = pair_logs(before, after)
    assert [(p.op, p.before, p.after) for p in pairs] == [
        ("QuantizeINPUT_f_to_8", 2.0, 1.0),
        ("QuantizedMatMul_8x8to32", 2.0, None),
        ("Requantize_32to8", 2.0, None),
        ("Supernode_8x8p32to8_d32", None, 1.0),
        ("QuantizedRelu_8", 2.0, 1.0),
    ]
    assert sum(pair.change for pair in pairs) == pytest.approx(after.total - before.total)


def test_the_most_expensive_type_comes_with_advice() -> None:
    log = read_log(PUBLISHED)
    first = advise((op, row.value) for op, row in log.by_type.items())[0]
    assert first.op == "QuantizedDiv_8"
    assert f"{first.share:.0%}" == "45%"
    assert "folded" in first.text() and "除" in first.text("zh")
    assert "scalar_into_range" in first.rewrites


def test_advice_names_real_ops_and_real_rewrites() -> None:
    import hexconv.optimize  # noqa: F401  (its rewrites register themselves)

    for op in table():
        row = table()[op]
        assert op in catalogue(), op
        assert row["en"] and row["zh"]
        assert set(row["rewrites"]) <= set(REWRITES), op


@pytest.mark.parametrize("size", [131_071, 131_072, 131_073, 500_000])
def test_a_cell_longer_than_the_csv_module_reads_is_an_incomplete_line(
    size: int, tmp_path: Path
) -> None:
    lines = ["node,id,name,op,executions,cycles", "0,16,a,Nop,1,10", f"1,17,{'n' * size},Nop,1,10"]
    (tmp_path / "m.csv").write_text("\n".join([*lines, "2,18,b,Nop,1,10"]), "utf-8")
    found = read_log(tmp_path / "m.csv")
    assert [node.id for node in found.nodes if node.id != 17] == [16, 18]
    assert found.notes == (("1 incomplete lines were skipped",) if size > 131_072 else ())


def test_a_head_longer_than_the_csv_module_reads_has_no_rows(tmp_path: Path) -> None:
    head = f"node,id,name,op,executions,cycles,{'n' * 200_000}"
    (tmp_path / "m.csv").write_text(f"{head}\n0,16,a,Nop,1,10\n", "utf-8")
    with pytest.raises(FileError, match="no complete row"):
        read_log(tmp_path / "m.csv")


def test_a_quote_does_not_swallow_the_lines_behind_it(tmp_path: Path) -> None:
    text = 'node,id,name,op,executions,cycles\n0,16,"a,Nop,1,10\n1,17,b,Nop,1,20\n'
    (tmp_path / "m.csv").write_text(text, "utf-8")
    assert [node.id for node in read_log(tmp_path / "m.csv").nodes] == [17]
