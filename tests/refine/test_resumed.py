"""A run of `accuracy="high"` that was killed goes on, and ends in the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import numpy_helper

import hexconv
from hexconv.qdq import to_qdq
from hexconv.refine.held_back import Judge, Score
from hexconv.refine.journal import Journal
from tests.refine.test_high_accuracy import attention, feeds


class Killed(BaseException):
    """Not an error that anything handles."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "hexconv" / "refine"


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the scores that are measured in [0]; a run is killed before number [1]."""
    counts, measure = [0, -1], Judge.score_of

    def score_of(self: Judge, run: Callable[..., Any]) -> Score:
        if counts[0] == counts[1]:
            raise Killed
        counts[0] += 1
        return measure(self, run)

    monkeypatch.setattr(Judge, "score_of", score_of)
    return counts


def dsp(**more: Any) -> bytes:
    made = hexconv.convert(attention(), samples=feeds(12), accuracy="high", **more)
    return b"".join(const.array.tobytes() for const in made.graph.consts)


def qdq() -> bytes:
    return to_qdq(attention(), samples=feeds(12), accuracy="high")[0].SerializeToString()


@pytest.mark.parametrize("convert", [dsp, qdq])
def test_it_goes_on_from_its_last_score(
    convert: Callable[[], bytes], folder: Path, scored: list[int]
) -> None:
    whole, total = convert(), scored[0]
    assert total > 5 and not list(folder.iterdir())
    for done in (1, total - 1):
        scored[:] = 0, done
        with pytest.raises(Killed):
            convert()
        (file,) = folder.iterdir()
        assert len(file.read_text().splitlines()) >= done
        scored[:] = 0, -1
        assert convert() == whole
        assert scored[0] <= total - done and not list(folder.iterdir())


def test_a_line_that_was_cut_off_is_measured_again(folder: Path, scored: list[int]) -> None:
    whole, total = dsp(), scored[0]
    scored[:] = 0, 4
    with pytest.raises(Killed):
        dsp()
    (file,) = folder.iterdir()
    file.write_text(file.read_text()[:-9])
    scored[:] = 0, -1
    assert dsp() == whole and scored[0] == total - 3


@pytest.mark.parametrize(
    "more", [{"library": "v60"}, {"observer": "mse"}, {"observer": "percentile"}]
)
def test_other_settings_are_another_run(
    more: dict[str, Any], folder: Path, scored: list[int]
) -> None:
    for count, given in enumerate(({}, more), 1):
        scored[:] = 0, 3
        with pytest.raises(Killed):
            dsp(**given)
        assert scored[0] == 3 and len(list(folder.iterdir())) == count


def test_samples_and_weights_are_part_of_it(folder: Path, scored: list[int]) -> None:
    scored[:] = 0, 3
    with pytest.raises(Killed):
        dsp()
    changed = attention()
    array = numpy_helper.to_array(changed.graph.initializer[0])
    changed.graph.initializer[0].raw_data = (array * 1.001).tobytes()
    others = ((changed, feeds(12)), (attention(), feeds(12, first=1)))
    for count, (proto, samples) in enumerate(others, 2):
        scored[:] = 0, 3
        with pytest.raises(Killed):
            hexconv.convert(proto, samples=samples, accuracy="high")
        assert scored[0] == 3 and len(list(folder.iterdir())) == count


def test_without_a_place_for_it_everything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert dsp() == dsp()
    journal = Journal(tmp_path / "file" / "x.jsonl")
    assert journal.score(lambda: Score(1.0, (0.5,))) == Score(1.0, (0.5,))
    journal.close()
