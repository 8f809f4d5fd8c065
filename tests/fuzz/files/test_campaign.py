"""The fuzzer finds what does not end, and goes on after it."""

from __future__ import annotations

from tests.fuzz.files.campaign import Case, campaign


def test_a_case_without_end_is_a_finding_and_the_next_case_runs() -> None:
    cases = [Case("yaml", 1), Case("raw", 1)]
    kinds = [found and found.kind for _, found in campaign(cases, 1, seconds=0.01)]
    assert kinds == ["yaml: no end in the process", None]
