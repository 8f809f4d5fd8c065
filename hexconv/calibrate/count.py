"""How many samples a source holds, without reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from math import prod
from pathlib import Path

from hexconv.calibrate.sample_files import (
    SampledInput,
    count_of,
    files_of,
    pairs_of,
    per_input,
)
from hexconv.calibrate.samples import SampledModel, SampleSource
from hexconv.errors import HexconvError
from hexconv.numpy_files import read_shapes
from hexconv.paths import exists, is_folder
from hexconv.raw_tensors import SUFFIXES as RAW_SUFFIXES


def count_samples(source: SampleSource, graph: SampledModel) -> int:
    """How many samples a source holds, by the headers of its files.

    Args:
        source: as for `read_samples`.
        graph: whose inputs the samples are for.

    Returns:
        Their number; 0 where it is not known, as of an iterator, or of files that do not fit.
    """
    inputs = {info.name: SampledInput(info.name, info.shape, "NONE") for info in graph.inputs}
    try:
        if isinstance(source, (str, Path, Mapping)):
            return sum(_held(*item) for item in _places(source, inputs))
        if isinstance(source, (list, tuple)) and all(isinstance(item, str) for item in source):
            pairs = all("=" in item and not exists(item) for item in source)
            items = [pairs_of(source)] if pairs else source
            return sum(_held(*place) for item in items for place in _places(item, inputs))
        return len(source) if isinstance(source, Sized) else 0
    except (HexconvError, OSError, ValueError, KeyError):
        return 0  # reading them says what is wrong


def _places(
    source: str | Path | Mapping[str, str | Path], inputs: Mapping[str, SampledInput]
) -> list[tuple[Path, Mapping[str, SampledInput]]]:
    """Files to count the samples of, each with the inputs that it is for."""
    if isinstance(source, str) and "=" in source and not exists(source):
        source = pairs_of([source])
    if not isinstance(source, Mapping) and is_folder(source):
        source = per_input(Path(source), inputs) or source
    if isinstance(source, Mapping):
        name = next(iter(source))
        source, inputs = source[name], {name: inputs[name]}
    path = Path(source)
    files = files_of(path) if is_folder(path) else [path]
    return [(file, inputs) for file in files]


def _held(path: Path, inputs: Mapping[str, SampledInput]) -> int:
    """How many samples a file holds."""
    only = next(iter(inputs.values()))
    if path.suffix in RAW_SUFFIXES:
        return path.stat().st_size // (4 * prod(only.shape))
    for name, shape in read_shapes(path, "the sample file").items():
        found = count_of(shape, inputs.get(name, only if len(inputs) == 1 else None))
        if found is not None:
            return found
    return 1
