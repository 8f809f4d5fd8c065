"""Photos, faces, rendered text and digits, in the form that a network reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.wild import pictures
from benchmarks.wild.draw import MAKERS, Array, Draw, Material


@MAKERS.register("photo")
def _photo(draw: Draw, shape: tuple[int, ...], of: str = "photos", **form: Any) -> Array:
    """A part of a photo."""
    height, width = extent(shape, **form)
    return finished(pictures.photo(draw.files(of), draw.rng, height, width), **form)


@MAKERS.register("face")
def _face(draw: Draw, shape: tuple[int, ...], **form: Any) -> Array:
    """A face that the RFB-320 detector finds in a photo."""
    files = draw.files("groups")
    boxes = faces(draw.material, files[draw.number % len(files)])
    box = boxes[draw.number // len(files) % len(boxes)]
    size = extent(shape, **form)
    return finished(pictures.around(files[draw.number % len(files)], box, size), **form)


def faces(material: Material, file: Path) -> Array:
    """(faces, 4): relative corners of the faces in a photo, the surest first."""
    pixels = np.float32(pictures.whole(file, 240, 320))
    image = ((pixels - 127) / 128).transpose(2, 0, 1)[None]
    scores, boxes = material.run("rfb-320", {"input": image})
    found: list[Array] = []
    for index in np.argsort(-scores[0, :, 1])[:200]:
        box = boxes[0, index]
        if all(np.abs(box - other).max() > 0.05 for other in found):
            found.append(box)
    return np.stack(found[:8])


@MAKERS.register("text-line")
def _text_line(draw: Draw, shape: tuple[int, ...], **form: Any) -> Array:
    """A rendered line of text; every third one upside down."""
    height, width = extent(shape, **form)
    pixels = pictures.text_line(draw.rng, height, width)
    turned = form.get("turned", False) and draw.number % 3 == 0
    return finished(pixels[::-1, ::-1] if turned else pixels, **form)


@MAKERS.register("page")
def _page(draw: Draw, shape: tuple[int, ...], **form: Any) -> Array:
    """A rendered page of text."""
    return finished(pictures.page(draw.rng, *extent(shape, **form)), **form)


@MAKERS.register("digit")
def _digit(draw: Draw, shape: tuple[int, ...]) -> Array:
    """A handwritten digit of scikit-learn, 0..255."""
    from PIL import Image
    from sklearn.datasets import load_digits

    images = load_digits().images
    number = draw.number * 37 + (900 if draw.held else 0)
    pixels = np.uint8(images[number % len(images)] / 16 * 255)
    inner = Image.fromarray(pixels).resize((20, 20), Image.Resampling.BILINEAR)
    return np.pad(np.float32(np.asarray(inner)), 4)


def extent(shape: tuple[int, ...], *, channels_last: bool = False, **_: Any) -> tuple[int, int]:
    """(height, width) of an input."""
    return (shape[1], shape[2]) if channels_last else (shape[2], shape[3])


def finished(
    pixels: pictures.Picture,
    *,
    mean: Any = 0.0,
    std: Any = 1.0,
    order: str = "rgb",
    gray: bool = False,
    channels_last: bool = False,
    **_: Any,
) -> Array:
    """Pixels as a network reads them: (pixel - mean) / std for each channel."""
    values = np.float32(pixels[..., ::-1] if order == "bgr" else pixels)
    if gray:
        values = values @ np.float32([[0.299], [0.587], [0.114]])
    values = (values - np.float32(mean)) / np.float32(std)
    return values if channels_last else values.transpose(2, 0, 1)
