"""What models.yml says: where each network comes from, its inputs, and what it must reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("models.yml")
HELD_OUT = 6


@dataclass(frozen=True)
class Source:
    """Where files come from: a release on PyPI, or a commit of a public git repository.

    Attributes:
        name: as models refer to it.
        package: `name==version`, or "".
        repository: `owner/name`, or "".
        commit: of the repository.
    """

    name: str
    package: str = ""
    repository: str = ""
    commit: str = ""

    @property
    def title(self) -> str:
        """The source, as a table shows it."""
        return self.package.replace("==", " ") if self.package else self.repository


@dataclass(frozen=True)
class Input:
    """One input: its shape, and how its samples are made.

    Attributes:
        kind: name of a maker (`draw.MAKERS`).
        shape: of one sample.
        options: the maker's keyword arguments.
    """

    kind: str
    shape: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """One network.

    Attributes:
        name: in the table.
        source: where its file comes from.
        file: path in the package or repository.
        sha256: of the file.
        inputs: by name; those that are data.
        constants: inputs that are fixed before the conversion, by name.
        states: output by input: an input that is an output of the step before.
        settings: of `hexconv.convert`.
        floor: dB that the worst output must reach; None where that is not known.
        samples: loudness of the samples of the floor, for calibration and held out; empty where
            that was not noted.
        classes: whether the last axis of the outputs has class scores.
        held_out: number of samples for the figures; few rows of class scores need more.
        note: one sentence about the network.
    """

    name: str
    source: Source
    file: str
    sha256: str
    inputs: Mapping[str, Input]
    constants: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    floor: float | None = None
    samples: tuple[float, ...] = ()
    classes: bool = False
    held_out: int = HELD_OUT
    note: str = ""


def read(file: Path = FILE) -> tuple[dict[str, Source], list[Model]]:
    """The sources by name, and the models in their order."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    sources = {name: Source(name, **item) for name, item in content["sources"].items()}
    return sources, [_model(item, sources) for item in content["models"]]


def chosen(models: Sequence[Model], only: Sequence[str]) -> Iterator[Model]:
    """The models whose name contains one of the texts; all without a text."""
    yield from (item for item in models if not only or any(text in item.name for text in only))


def _model(item: Mapping[str, Any], sources: Mapping[str, Source]) -> Model:
    inputs = {name: _input(given) for name, given in item["inputs"].items()}
    source, noted = sources[item["source"]], tuple(item.get("samples", ()))
    return Model(**{**item, "source": source, "inputs": inputs, "samples": noted})


def _input(given: Mapping[str, Any]) -> Input:
    options = {name: value for name, value in given.items() if name not in ("kind", "shape")}
    return Input(given["kind"], tuple(given["shape"]), options)
