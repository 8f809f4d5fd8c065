"""About 1500 seeded damaged files of the formats that are fast to read, in each run."""

from __future__ import annotations

import pytest

from tests.fuzz.files.campaign import Case, tried

FAST = {"pb": 10, "pb-bytes": 60, "npy": 500, "raw": 300, "ranges": 30, "log": 300, "records": 300}


@pytest.mark.parametrize("form", FAST)
def test_a_damaged_file_is_an_error_or_is_read(form: str) -> None:
    found = [tried(Case(form, seed)) for seed in range(FAST[form])]
    assert [f"{f.case}: {f.kind}: {f.text}" for f in found if f is not None] == []
