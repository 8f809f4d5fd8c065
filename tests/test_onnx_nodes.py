"""ONNX's own node tests, all of them, as `make onnx-tests` runs them."""

import sys

import pytest

from benchmarks import onnx_node_tests


@pytest.mark.slow
def test_none_is_wrong_and_none_crashes(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["onnx_node_tests"])
    assert onnx_node_tests.main() == 0, capsys.readouterr().out
