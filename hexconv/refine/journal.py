"""What `accuracy="high"` measured so far: a run that was killed goes on from there.

A file of the cache directory has a line for each score. Its name is a digest of all that decides
about them; the steps follow from the scores, so that the same file leads to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hexconv.arrays import Array
from hexconv.distribution import version
from hexconv.files import cache_directory
from hexconv.onnx_graph import FloatGraph
from hexconv.refine.scores import Score
from hexconv.settings import Settings

IN_VAIN = ("name", "explain", "strict")
"""Settings that decide about no score."""


class Journal:
    """The scores of one refinement, in parts; those of each in their order.

    A file that cannot be read or written has no effect: everything is measured then.

    Args:
        path: of the file; None for a refinement that cannot go on.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._part, self._place = path, "", 0
        self._known = {} if path is None else _read(path)

    def part(self, name: str) -> Journal:
        """The scores of a part, which are found again whatever other parts measured."""
        part = copy(self)
        part._part, part._place = f"{self._part}/{name}", 0
        return part

    def score(self, measure: Callable[[], Score]) -> Score:
        """The next score: as it was measured before, or measured now."""
        place, self._place = (self._part, self._place), self._place + 1
        if place in self._known:
            return self._known[place]
        score = measure()
        line = json.dumps({"part": place[0], "place": place[1], **asdict(score)})
        if self._path is not None:
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")
                    file.flush()
                    os.fsync(file.fileno())
        return score

    def close(self) -> None:
        """Remove the file: the refinement is done."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)


def _read(path: Path) -> dict[tuple[str, int], Score]:
    """The scores of a file by their places; a line that was cut off is none."""
    known: dict[tuple[str, int], Score] = {}
    with suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                item = json.loads(line)
                known[str(item["part"]), int(item["place"])] = _score(item)
    return known


def _score(item: Mapping[str, Any]) -> Score:
    noise = tuple(float(number) for number in item["noise"])
    silent = tuple(int(number) for number in item["silent"])
    logits = None if item["of_logits"] is None else _score(item["of_logits"])
    return Score(float(item["sqnr"]), noise, silent, logits)


def journal_of(
    made: str,
    graph: FloatGraph,
    settings: Settings,
    samples: Sequence[Mapping[str, Array]],
    ranges: Mapping[str, tuple[float, float]],
) -> Journal:
    """The journal of a refinement.

    Args:
        made: what is refined: "dsp" or "qdq".
        graph: that it is made of.
        settings: of the conversion.
        samples: all that models are fitted on, or judged by.
        ranges: where it starts.
    """
    digest = hashlib.sha256()
    content, weights, _ = graph.__reduce__()[1]
    chosen = {name: v for name, v in settings.as_dict().items() if name not in IN_VAIN}
    versions = (version(), np.__version__, platform.machine())
    digest.update(
        json.dumps([made, versions, chosen, sorted(ranges.items())], default=str).encode()
    )
    digest.update(content)
    for item in (weights, *samples):
        for name, array in sorted(item.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return Journal(cache_directory() / "refine" / f"{digest.hexdigest()}.jsonl")
