"""Sample inputs: read lazily from files or taken from the caller, each checked before use.

The shape decides what an array is: an array of the input's own shape is one sample; with one
more axis in front, or N where the input has a leading 1, it is N samples. A raw file (`.bin`, as
MACE's tools read it) contains as many samples as its size allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hexconv.arrays import NOT_IN_FLOAT32, not_in_float32
from hexconv.arrays import FloatArray as Array
from hexconv.calibrate.images import Images, holds_images
from hexconv.calibrate.lengths import fitted, other_axis, warn_of_length
from hexconv.calibrate.sample_files import (
    NUMPY_SUFFIXES,
    SampledInput,
    count_of,
    files_of,
    pairs_of,
    per_input,
)
from hexconv.errors import FileError, RangeError
from hexconv.names import did_you_mean
from hexconv.numpy_files import read_numpy
from hexconv.paths import exists, is_folder
from hexconv.raw_tensors import SUFFIXES as RAW_SUFFIXES
from hexconv.raw_tensors import DataFormat, read_raw

Sample = dict[str, Array]
SampleSource = (
    Images
    | str
    | Path
    | Mapping[str, str | Path]
    | Sequence[str]
    | Iterable[Mapping[str, npt.ArrayLike]]
)


class Named(Protocol):
    """One input of a model."""

    @property
    def name(self) -> str:
        """Its name in the model."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""


class SampledModel(Protocol):
    """The consumer of the samples: a float graph, or the interface of an nnlib graph."""

    @property
    def inputs(self) -> Sequence[Named]:
        """Its inputs, in order."""

    @property
    def dropped_inputs(self) -> Sequence[str]:
        """Inputs that samples may contain and that nothing reads."""

    @property
    def open_axes(self) -> Mapping[str, tuple[int, ...]]:
        """The axes of inputs along which samples may have another length."""

    def takes(self, name: str, dtype: npt.DTypeLike) -> bool:
        """Whether numbers of a type are those of an input: scaled as the model expects them."""


def read_samples(
    source: SampleSource, graph: SampledModel, formats: Mapping[str, DataFormat] | None = None
) -> Iterator[Sample]:
    """Samples for a graph's inputs, one at a time, float32 in the inputs' own shapes.

    Args:
        source: pictures (`Images`); a .npy, .npz or raw .bin file; a folder of such files (each one
            or more samples), or of one file or folder an input, named after it; {input: path} or
            ["input=path", ...]; or an iterable of {input: array}.
        graph: the graph whose inputs the samples are for.
        formats: of the inputs in raw files, by name: "NHWC" images have their channels last;
            all others are in the ONNX order of axes.

    A sample whose length differs from the input's, along an axis that the ONNX file leaves open or
    the only long one, is cropped or padded with zeros, with a `SampleWarning`.

    Yields:
        {input name: array}, for every input of the graph.

    Raises:
        FileError: a path does not exist or cannot be read.
        RangeError: a sample lacks an input, or has an unknown one, a wrong shape or type, or
            values that are not finite; or there are no samples.
    """
    forms = formats or {}
    inputs = {
        info.name: SampledInput(
            info.name,
            info.shape,
            forms.get(info.name, "NONE"),
            graph.open_axes.get(info.name, ()),
        )
        for info in graph.inputs
    }
    count = 0
    told: set[str] = set()
    for label, sample in _raw(source, inputs):
        yield _checked(sample, inputs, graph, label, told)
        count += 1
    if count == 0:
        raise RangeError("there are no samples", where=_shown(source))


def read_sequences(
    source: SampleSource, graph: SampledModel
) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """As `read_samples`, of any length along the open axes; with the place of each.

    Raises:
        FileError, RangeError: as `read_samples`.
    """
    inputs = {
        info.name: SampledInput(info.name, info.shape, "NONE", graph.open_axes.get(info.name, ()))
        for info in graph.inputs
    }
    for label, sample in _raw(source, inputs):
        shaped = {
            name: replace(info, shape=_length_of(np.shape(sample[name]), info))
            if name in sample
            else info
            for name, info in inputs.items()
        }
        yield label, _checked(sample, shaped, graph, label, set())


def _length_of(shape: tuple[int, ...], info: SampledInput) -> tuple[int, ...]:
    """An input's shape with the length of a sample."""
    full = (1,) * (len(info.shape) - len(shape)) + shape
    return full if other_axis(full, info.shape, info.free) is not None else info.shape


def _raw(
    source: SampleSource, inputs: Mapping[str, SampledInput]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(source, Images):
        info = inputs[_only(inputs, Path(source.path))]
        for label, array in source.read(info.name, info.shape):
            yield label, {info.name: array}
    elif isinstance(source, (str, Path)):
        if isinstance(source, str) and "=" in source and not exists(source):
            yield from _zipped(pairs_of([source]), inputs)
            return
        path = Path(source)
        by_input = per_input(path, inputs) if is_folder(path) else None
        if by_input is not None:
            yield from _zipped(by_input, inputs)
        else:
            yield from _from_path(path, inputs)
    elif isinstance(source, Mapping):
        yield from _zipped({name: Path(path) for name, path in source.items()}, inputs)
    else:
        items = list(source) if isinstance(source, (list, tuple)) else source
        if isinstance(items, list) and items and all(isinstance(item, str) for item in items):
            yield from _listed([str(item) for item in items], inputs)
            return
        for number, sample in enumerate(items):
            if not isinstance(sample, Mapping):
                raise RangeError(
                    f"sample {number} is {type(sample).__name__}, not a mapping",
                    hint="give {input name: array}",
                )
            yield f"sample {number}", sample


def _listed(
    texts: list[str], inputs: Mapping[str, SampledInput]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Several paths, or `input=path` for each input."""
    if all("=" in text and not exists(text) for text in texts):
        yield from _zipped(pairs_of(texts), inputs)
        return
    named = [text for text in texts if text.partition("=")[0] in inputs and not exists(text)]
    if named:
        raise RangeError(
            f"of several samples only some have the name of an input: {named[0]}",
            hint="give paths alone, or NAME=PATH once for each input",
        )
    for text in texts:
        yield from _from_path(Path(text), inputs)


def _zipped(
    paths: Mapping[str, Path], inputs: Mapping[str, SampledInput]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """One stream per input, read in parallel; all must have the same number of samples."""
    for name in paths:
        if name not in inputs:
            raise _unknown(name, inputs, str(paths[name]))
    streams = {name: _from_path(path, {name: inputs[name]}) for name, path in sorted(paths.items())}
    number = 0
    while True:
        drawn = {name: next(stream, None) for name, stream in streams.items()}
        ended = [name for name, item in drawn.items() if item is None]
        if len(ended) == len(drawn):
            return
        if ended:
            raise RangeError(
                f"input '{ended[0]}' has {number} samples, others have more",
                where=str(paths[ended[0]]),
            )
        found = {name: item[1] for name, item in drawn.items() if item is not None}
        for name, arrays in found.items():
            if name not in arrays:
                raise _unknown(next(iter(arrays), ""), inputs, str(paths[name]))
        sample = {name: arrays[name] for name, arrays in found.items()}
        yield f"sample {number} of {', '.join(map(str, paths.values()))}", sample
        number += 1


def _from_path(
    path: Path, inputs: Mapping[str, SampledInput]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if is_folder(path):
        files = files_of(path)
        if not files and holds_images(path):
            raise _unscaled(path)
        if not files:
            raise RangeError("the folder contains no .npy, .npz or .bin file", where=str(path))
        for file in files:
            yield from _from_file(file, inputs)
    else:
        yield from _from_file(path, inputs)


def _from_file(
    path: Path, inputs: Mapping[str, SampledInput]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    arrays = _arrays(path, inputs)
    counts = {name: count_of(array.shape, inputs.get(name)) for name, array in arrays.items()}
    several = {name: count for name, count in counts.items() if count is not None}
    if not several:
        yield str(path), arrays
        return
    if len(set(several.values())) > 1:
        listed = ", ".join(f"'{name}' {count}" for name, count in several.items())
        raise RangeError(
            f"the arrays contain different numbers of samples: {listed}", where=str(path)
        )
    for number in range(next(iter(several.values()))):
        sample = {
            name: _one_of(array[number], inputs[name]) if name in several else array
            for name, array in arrays.items()
        }
        yield f"{path}, sample {number}", sample


def _arrays(path: Path, inputs: Mapping[str, SampledInput]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file by input name; a .npy is mapped, not read."""
    if path.suffix in RAW_SUFFIXES and exists(path):
        only = inputs[_only(inputs, path)]
        return {only.name: read_raw(path, only.shape, only.form)}
    if exists(path) and holds_images(path):
        raise _unscaled(path)
    if path.suffix not in NUMPY_SUFFIXES and exists(path):
        raise RangeError("samples are .npy, .npz or raw .bin files", where=str(path))
    try:
        arrays = read_numpy(path, "the sample file", mapped=True)
    except FileError as error:
        if not exists(path):
            raise
        raise RangeError(error.what, where=error.where, why=error.why) from error
    if not isinstance(arrays, dict):
        return {_only(inputs, path): arrays}
    if len(arrays) == 1 and len(inputs) == 1:
        return {_only(inputs, path): next(iter(arrays.values()))}
    return arrays


def _unscaled(path: Path) -> RangeError:
    return RangeError(
        "pictures are given without what the model expects of pixels",
        where=str(path),
        hint="give --mean and --scale: the input is (pixels - mean) * scale, pixels from 0 to 255",
    )


def _only(inputs: Mapping[str, SampledInput], path: Path) -> str:
    if len(inputs) == 1:
        return next(iter(inputs))
    raise RangeError(
        "the file does not name the input that it is for",
        where=str(path),
        why=f"the model has {len(inputs)} inputs: {', '.join(inputs)}",
        hint="give a .npz with one array per input, or input=path for each",
    )


def _one_of(array: npt.NDArray[Any], info: SampledInput) -> npt.NDArray[Any]:
    """One of several samples, with the input's number of axes."""
    return array if array.ndim == len(info.shape) else array[None]


def _checked(
    sample: Mapping[str, Any],
    inputs: Mapping[str, SampledInput],
    graph: SampledModel,
    label: str,
    told: set[str],
) -> Sample:
    """A sample as it is run; `told` holds the inputs whose lengths a warning was about."""
    for name in sample:
        if name not in inputs and name not in graph.dropped_inputs:
            raise _unknown(str(name), inputs, label)
    result: Sample = {}
    for name, info in inputs.items():
        if name not in sample:
            raise RangeError(f"input '{name}' is missing", where=label)
        array = np.asarray(sample[name])
        if not graph.takes(name, array.dtype):
            raise RangeError(
                f"input '{name}' is {array.dtype}, not float",
                where=label,
                hint="save it as float32, scaled as the model expects it",
            )
        if array.shape != info.shape:
            array = fitted(array, info.shape, info.free)
            if array.shape == info.shape and name not in told:
                told.add(name)
                warn_of_length(name, info.shape, np.shape(sample[name]), label)
        if array.shape != info.shape:
            raise RangeError(
                f"input '{name}' has shape {list(array.shape)}, expected {list(info.shape)}",
                where=label,
            )
        if (lost := not_in_float32(array)) is not None:
            raise RangeError(f"input '{name}' contains {lost}", where=label, why=NOT_IN_FLOAT32)
        with np.errstate(over="ignore"):
            result[name] = np.asarray(array, np.float32, order="C")
        if not np.isfinite(result[name]).all():
            bad = int((~np.isfinite(result[name])).sum())
            raise RangeError(
                f"input '{name}' contains {bad} values that are NaN or infinite", where=label
            )
    return result


def _unknown(name: str, inputs: Mapping[str, SampledInput], label: str) -> RangeError:
    return RangeError(
        f"the model has no input '{name}'",
        where=label,
        hint=f"{did_you_mean(name, inputs)}its inputs are {', '.join(inputs)}",
    )


def _shown(source: SampleSource) -> str:
    return str(source) if isinstance(source, (Images, str, Path, Mapping)) else "the samples given"
