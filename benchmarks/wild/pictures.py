"""Photos that packages and repositories ship, crops of faces, and rendered text."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789"


def photo(files: list[Path], rng: np.random.Generator, height: int, width: int) -> Picture:
    """(height, width, 3): a part of one of the files, at some scale, sometimes mirrored."""
    image = _read(files[int(rng.integers(len(files)))])
    whole = np.asarray(image.size, np.float64)
    aspect = np.asarray([width, height]) / max(width, height)
    largest = float((whole / aspect).min())
    extent = np.floor(aspect * largest * rng.uniform(0.5, 1.0))
    left, top = (int(rng.integers(int(room) + 1)) for room in whole - extent)
    box = (left, top, left + int(extent[0]), top + int(extent[1]))
    part = image.resize((width, height), Image.Resampling.BILINEAR, box)
    pixels = np.asarray(part)
    return pixels[:, ::-1] if rng.integers(2) else pixels


def around(file: Path, box: npt.NDArray[np.float32], size: tuple[int, int]) -> Picture:
    """(height, width, 3): what is in and around a box of relative coordinates."""
    image = _read(file)
    left, top, right, bottom = box * np.asarray([*image.size, *image.size])
    half = 0.6 * max(right - left, bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2
    crop = image.crop((int(x - half), int(y - half), int(x + half), int(y + half)))
    return np.asarray(crop.resize(size[::-1], Image.Resampling.BILINEAR))


@lru_cache(maxsize=64)
def _read(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")


def whole(file: Path, height: int, width: int) -> Picture:
    """(height, width, 3): the whole file."""
    return np.asarray(_read(file).resize((width, height), Image.Resampling.BILINEAR))


def text_line(rng: np.random.Generator, height: int, width: int) -> Picture:
    """(height, width, 3): letters and digits, dark on light, sometimes upside down."""
    light, dark = int(rng.integers(170, 256)), int(rng.integers(0, 90))
    image = Image.new("RGB", (width, height), (light, light, light))
    size = height * rng.uniform(0.55, 0.8)
    count = max(4, int(width / (size * 0.62)) - 1)
    text = "".join(LETTERS[int(i)] for i in rng.integers(len(LETTERS), size=count))
    font = ImageFont.load_default(size)
    place = (size * 0.3, (height - size) / 2 - size * 0.1)
    ImageDraw.Draw(image).text(place, text, fill=(dark, dark, dark), font=font)
    pixels = np.asarray(image) + rng.normal(0, rng.uniform(0, 8), (height, width, 1))
    return np.asarray(np.clip(pixels, 0, 255), np.uint8)


def page(rng: np.random.Generator, height: int, width: int) -> Picture:
    """(height, width, 3): some lines of text."""
    rows = int(rng.integers(4, 9))
    lines = [text_line(rng, height // rows, width) for _ in range(rows)]
    pixels = np.full((height, width, 3), 230, np.uint8)
    joined = np.concatenate(lines)
    pixels[: len(joined)] = joined
    return pixels
