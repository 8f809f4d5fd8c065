"""The record file, and the texts in it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexconv.device.job import NODE_BASE, Slot
from hexconv.device.listing import Listed, parse_listing
from hexconv.device.locate import executing
from hexconv.device.logs import failed_node, readable, with_names
from hexconv.device.records import Progress, RunStage, read_records
from hexconv.errors import DeviceError
from tests.device.fake_library import graph_of

LISTING = """nn @ 0x3f700080: id=0x1 debug_level=0
node @ 0x3e940680: id=0x5000000 type=0x3(Const) n_inputs=0 n_outputs=1 padding=0(NA)
node @ 0x3e940080: id=0x5000001 type=0xd0(QuantizeINPUT_f_to_8) n_inputs=0 n_outputs=3 padding=0(NA)
node @ 0x3e942480: id=0xffffffff type=0x91(Convert_to_d32) n_inputs=1 n_outputs=1 padding=0(NA)
node @ 0x3e942880: id=0x5000002 type=0xa8(QuantizedNeg_8_d32) n_inputs=3 n_outputs=3 padding=0(NA)
5 nodes total.
"""


def record(tag: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sI", tag, len(payload)) + payload + bytes(-len(payload) % 4)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(data: bytes) -> None:
    try:
        read_records(data, [Slot(4, "float32")])
    except DeviceError as error:
        assert "malformed" in str(error)


TAGS = (b"OP  ", b"TRY ", b"LIST", b"FAIL", b"RUN ", b"PERF", b"HEAP")


@given(st.sampled_from(TAGS), st.binary())
def test_any_record_is_read_or_rejected(tag: bytes, payload: bytes) -> None:
    try:
        read_records(record(tag, payload), [Slot(4, "float32"), Slot(8, "uint8")])
    except DeviceError as error:
        assert "malformed" in str(error)


def test_a_record_cut_off_by_a_crash_is_left_out() -> None:
    whole = record(b"TRY ", struct.pack("<Ii", 1, 0)) + record(b"DONE", b"")
    for cut in range(len(whole)):
        assert not read_records(whole[:cut], ()).done
    assert read_records(whole, ()).done


def test_an_output_larger_than_its_room_is_rejected() -> None:
    tensor = struct.pack("<5I", 1, 1, 1, 8, 8) + bytes(8)
    with pytest.raises(DeviceError, match="malformed"):
        read_records(record(b"RUN ", tensor), [Slot(4, "uint8")])


def test_a_listing_gives_op_nodes_in_order() -> None:
    assert parse_listing(LISTING) == [
        Listed(1, "QuantizeINPUT_f_to_8"),
        Listed(-1, "Convert_to_d32"),
        Listed(2, "QuantizedNeg_8_d32"),
    ]


@pytest.mark.parametrize(
    ("reads", "node"),
    [
        (1, "'input' (QuantizeINPUT_f_to_8)"),
        (
            3,
            "Convert_to_d32, which prepare inserted before "
            "'/layer2/QuantizedNeg_8' (QuantizedNeg_8)",
        ),
        (5, "'/layer2/QuantizedNeg_8' (QuantizedNeg_8)"),
        (4, ""),
        (99, ""),
    ],
)
def test_clock_reads_tell_the_node_that_was_executed(reads: int, node: str) -> None:
    progress = Progress(RunStage.EXECUTE, 0, reads)
    assert executing(graph_of("QuantizedNeg_8"), progress, LISTING) == node


@pytest.mark.parametrize("number", [f"{NODE_BASE + 2:x}", f"0x{NODE_BASE + 2:x}", NODE_BASE + 2])
def test_numbers_of_nodes_become_names(number: object) -> None:
    text = with_names(graph_of("QuantizedNeg_8"), f"bad node {number}: 0x3e940080 5000 5000077")
    name = "'/layer2/QuantizedNeg_8' (QuantizedNeg_8)"
    assert text == f"bad node {name}: 0x3e940080 5000 5000077"


def test_the_log_is_shown_without_what_every_run_says() -> None:
    log = "hexagon/src/nn_os_qurt.c:75:couldn't acquire VTCM\n\na.c:1:the reason\n"
    assert readable(graph_of(), log) == "a.c:1:the reason"


def test_the_log_names_the_node_whose_execution_failed() -> None:
    log = f"execute.c:167:execute() failed on node id={NODE_BASE + 7:x} err=-1"
    assert failed_node(log) == 7
    assert failed_node("something else") is None
