"""Samples that are pictures: a folder of image files, read as the network's input."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from hexconv.argument_types import check_types
from hexconv.arrays import FloatArray
from hexconv.errors import FileError, MissingExtra, RangeError, system_reason
from hexconv.paths import check_is_file, exists, is_folder

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")
COLORS = {1: "L", 3: "RGB"}
"""Pillow's modes by the number of channels."""


@dataclass(frozen=True)
class Images:
    """Pictures as samples: `(pixels - mean) * scale`, pixels from 0 to 255.

    Each is resized to the input's size (bilinear, the whole picture), NCHW or NHWC by the input's
    shape.

    Attributes:
        path: a folder of pictures, or one picture.
        mean: subtracted; one number, or one for each channel.
        scale: multiplied with; one number, or one for each channel.
        bgr: blue first.
    """

    path: str | Path
    mean: Sequence[float] = (0.0,)
    scale: Sequence[float] = (1.0,)
    bgr: bool = False

    def __post_init__(self) -> None:
        """The types of what is given are checked here."""
        check_types({item.name: getattr(self, item.name) for item in fields(self)})

    def __str__(self) -> str:
        return str(self.path)

    def read(self, name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, FloatArray]]:
        """The samples of an input, and where each comes from.

        Raises:
            RangeError: the input's shape is no picture's, or there are no pictures.
            FileError: a file is no picture.
            MissingExtra: Pillow is not installed.
        """
        axis = _channel_axis(name, shape)
        for what, numbers in (("mean", self.mean), ("scale", self.scale)):
            if len(numbers) not in (1, shape[axis]) or not np.isfinite(numbers).all():
                raise RangeError(
                    f"{len(numbers)} numbers are given as the {what} of pictures",
                    why=f"input '{name}' has {shape[axis]} channels: give one, or one for each",
                )
        for file in self._files():
            pixels = _pixels(file, shape, axis)
            if self.bgr:
                pixels = pixels[..., ::-1]
            mean, scale = (np.asarray(item, np.float32) for item in (self.mean, self.scale))
            values = (pixels - mean) * scale
            placed = values if axis == len(shape) - 1 else values.transpose(2, 0, 1)
            yield str(file), np.ascontiguousarray(placed, np.float32).reshape(shape)

    def _files(self) -> list[Path]:
        path = Path(self.path)
        if not exists(path):
            raise FileError("there is no such picture or folder", where=str(path))
        found = sorted(path.iterdir()) if is_folder(path) else [path]
        files = [file for file in found if file.suffix.lower() in SUFFIXES]
        if not files:
            raise RangeError(
                "there are no pictures", where=str(path), why=f"they end in {', '.join(SUFFIXES)}"
            )
        return files


def holds_images(path: Path) -> bool:
    """Whether a path is a picture, or a folder with pictures."""
    if is_folder(path):
        return any(file.suffix.lower() in SUFFIXES for file in path.iterdir())
    return path.suffix.lower() in SUFFIXES


def _channel_axis(name: str, shape: tuple[int, ...]) -> int:
    """Where an input has its channels: NCHW before NHWC, where both are possible."""
    first = len(shape) - 3
    if len(shape) in (3, 4) and shape[:first] in ((), (1,)):
        for axis in (first, len(shape) - 1):
            if shape[axis] in COLORS:
                return axis
    raise RangeError(
        f"input '{name}' of shape {list(shape)} is not one picture",
        why="a picture has the shape [1, 3, height, width] or [1, height, width, 3], or 1 channel",
        hint="give the arrays that the model reads as .npy or .npz",
    )


def _pixels(file: Path, shape: tuple[int, ...], axis: int) -> FloatArray:
    """(height, width, channels) float32, 0 to 255."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise MissingExtra("pillow", "images") from None
    sizes = [size for place, size in enumerate(shape[-3:], len(shape) - 3) if place != axis]
    try:
        check_is_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow's, about sizes that are no picture's
            with Image.open(file) as opened:
                rotated = ImageOps.exif_transpose(opened).convert(COLORS[shape[axis]])
                small = rotated.resize((sizes[1], sizes[0]), Image.Resampling.BILINEAR)
    except Exception as error:  # Pillow's decoders make no guarantee about what they raise
        why = system_reason(error)
        raise FileError("the picture cannot be read", where=str(file), why=why) from error
    return np.asarray(small, np.float32).reshape(*sizes, shape[axis])
