"""Some 2,000 seeded damaged files of every format, in each run of the tests."""

from __future__ import annotations

import pytest

from hexconv.onnx_graph import trial
from tests.fuzz.files.campaign import Case, tried

COUNTS = {
    "onnx": 120,
    "onnx-bytes": 100,
    "pb": 25,
    "pb-bytes": 100,
    "npy": 400,
    "raw": 200,
    "ranges": 100,
    "yaml": 300,
    "config": 300,
    "log": 200,
    "sound": 300,
    "records": 200,
    "checkpoint": 100,
    "statistics": 100,
    "reference": 100,
}


@pytest.fixture(autouse=True)
def whole_models_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX's node tests take 10 s to make; `make fuzz` starts from them as well."""
    monkeypatch.setenv("HEXCONV_FUZZ_NODES", "0")
    monkeypatch.setattr(trial, "_exit_code", lambda content: 0)  # a second for each


@pytest.mark.parametrize("form", COUNTS)
def test_a_damaged_file_is_an_error_or_is_read(form: str) -> None:
    if form == "checkpoint":
        pytest.importorskip("torch")
    found = [tried(Case(form, seed)) for seed in range(COUNTS[form])]
    assert [f"{f.case}: {f.kind}: {f.text}" for f in found if f is not None] == []
