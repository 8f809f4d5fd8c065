"""`hexconv exact` writes the exact model, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result

import hexconv
from hexconv.cli.exact import command
from hexconv.errors import FileError, GraphError
from hexconv.exact import check
from tests.exact.test_models import feeds_of, small


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    proto = small("Sigmoid")
    hexconv.convert(proto, samples=[feeds_of(proto, 1)]).save(tmp_path)
    return tmp_path / "small.pb"


def test_the_model_lies_beside_the_one_that_it_comes_from(built: Path) -> None:
    result = run(str(built), "--library", "v60")
    assert result.exit_code == 0
    assert "nodes of v60, the simulator's bits on one sample" in result.output
    onnx.checker.check_model(onnx.load(built.with_suffix(".dsp.onnx")), full_check=True)


def test_json_and_quiet(built: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "out" / "exact.onnx")
    said = json.loads(run(str(built), "-o", target, "--json", "--no-check").output)
    assert (said["files"], said["checked"], said["library"]) == ([target], False, "v66")
    assert run(str(built), "-q").output == ""


def test_nothing_is_written_if_the_bits_differ(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differ(*_: object) -> None:
        raise GraphError("other bits")

    monkeypatch.setattr(check, "check_exact", differ)
    assert isinstance(run(str(built)).exception, GraphError)
    assert not built.with_suffix(".dsp.onnx").exists()


def test_a_model_that_is_not_there_is_named() -> None:
    error = run("nowhere.pb").exception
    assert isinstance(error, FileError) and "nowhere.pb" in str(error)
