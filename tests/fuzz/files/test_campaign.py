"""The fuzzer finds what does not end, and goes on after it."""

from __future__ import annotations

import pytest

from tests.fuzz.files.campaign import Case, campaign


def test_a_case_without_end_is_a_finding_and_the_next_case_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEXCONV_FUZZ_NODES", "0")
    cases = [Case("onnx", 1), Case("raw", 1)]
    kinds = [found and found.kind for _, found in campaign(cases, 1, seconds=0.01)]
    assert kinds == ["onnx: no end in the process", None]
