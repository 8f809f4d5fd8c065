"""MACE's range file reads back what was written, and a bad line is reported by its number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexconv.calibrate import format_ranges, read_ranges, write_ranges
from hexconv.errors import FileError, HexconvError, RangeError

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


def read(tmp_path: Path, content: str | bytes) -> dict[str, tuple[float, float]]:
    path = tmp_path / "m.ranges"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_ranges(path)


def test_the_format_is_that_of_mace(tmp_path: Path) -> None:
    assert format_ranges({"speech": (-1.0, 1.0), "a/b:0": (0.0, 0.25)}) == (
        "speech@@-1.0,1.0\na/b:0@@0.0,0.25\n"
    )
    assert read(tmp_path, "x@@-1,1\r\n\ny z@@2e-3,7\n") == {"x": (-1, 1), "y z": (0.002, 7)}


@settings(deadline=None, max_examples=60)
@given(ranges=st.dictionaries(NAMES, st.tuples(NUMBERS, NUMBERS).map(sorted).map(tuple)))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, ranges: dict) -> None:
    path = tmp_path_factory.mktemp("r") / "m.ranges"
    write_ranges(path, ranges)
    assert read_ranges(path) == ranges


BAD = {
    "x": "not of the form",
    "x@@1": "not of the form",
    "x@@1,2,3": "not of the form",
    "@@1,2": "not of the form",
    "x@@a,b": "not two numbers",
    "x@@,": "not two numbers",
    "x@@2,1": r"minimum 2.0 of 'x' is above the maximum 1.0",
    "x@@nan,1": "not finite",
    "x@@0,inf": "not finite",
    "ok@@0,1": "has a range already",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_lines_are_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(RangeError, match=BAD[line]) as error:
        read(tmp_path, f"ok@@0,1\n\n{line}\n")
    assert "line 3" in str(error.value)


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="UTF-8"):
        read(tmp_path, b"x@@0,1\n\xff\xfe@@0,1\n")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"gone\.ranges"):
        read_ranges(tmp_path / "gone.ranges")


def test_a_place_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("mine")
    with pytest.raises(FileError, match="cannot be written"):
        write_ranges(tmp_path / "a file" / "m.ranges", {})
    with pytest.raises(RangeError, match="line break"):
        write_ranges(tmp_path / "m.ranges", {"a\nb": (0, 1)})
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]
    assert (tmp_path / "a file").read_text() == "mine"


def test_folders_are_made_as_needed(tmp_path: Path) -> None:
    write_ranges(tmp_path / "new" / "m.ranges", {"a": (0.0, 1.0)})
    assert read_ranges(tmp_path / "new" / "m.ranges") == {"a": (0.0, 1.0)}


@settings(deadline=None, max_examples=200)
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: f"a@@{t}".encode()))
def test_any_bytes_are_ranges_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("r") / "m.ranges"
    path.write_bytes(content)
    try:
        ranges = read_ranges(path)
    except HexconvError as error:
        assert str(error)
    else:
        assert all(np.isfinite(bounds).all() for bounds in ranges.values())
