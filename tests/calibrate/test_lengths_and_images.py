"""Samples of other lengths than the model's, and folders of pictures."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from PIL import Image

from hexconv.calibrate import Images, read_samples
from hexconv.cli import group
from hexconv.errors import FileError, RangeError, SampleWarning
from hexconv.onnx_graph import FloatGraph, load
from tests.lowering.proof import numbers
from tests.onnx_graph.models import model, node


def graph_of(declared: Any, shape: tuple[int, ...]) -> FloatGraph:
    return load(model([node("Relu", "x", "y")], {"x": declared}), {"x": shape})


def read(graph: FloatGraph, source: Any) -> list[Any]:
    return [sample["x"] for sample in read_samples(source, graph)]


OPEN, SPEECH = ("batch", "frames", 4), (1, 6, 4)


@pytest.mark.parametrize("length", [3, 9])
@pytest.mark.parametrize("lead", [(1,), ()])
def test_a_sample_of_another_length_is_cropped_or_padded_with_a_warning(
    length: int, lead: tuple[int, ...], tmp_path: Path
) -> None:
    array = numbers((*lead, length, 4))
    np.save(tmp_path / "a.npy", array)
    expected = np.zeros(SPEECH, np.float32)
    expected[0, : min(length, 6)] = array.reshape(length, 4)[:6]
    for source in (tmp_path, [{"x": array}]):
        with pytest.warns(SampleWarning, match=f"to 6 along axis 1: the first such, .* {length}$"):
            (found,) = read(graph_of(OPEN, SPEECH), source)
        np.testing.assert_array_equal(found, expected)


def test_several_samples_in_one_array_keep_their_number(tmp_path: Path) -> None:
    array = numbers((5, 9, 4))
    np.save(tmp_path / "a.npy", array)
    with pytest.warns(SampleWarning):
        found = read(graph_of(OPEN, SPEECH), tmp_path / "a.npy")
    np.testing.assert_array_equal(np.concatenate(found), array[:, :6])


def test_the_only_long_axis_is_a_length_in_a_model_of_fixed_shape() -> None:
    with pytest.warns(SampleWarning):
        (found,) = read(graph_of((1, 16), (1, 16)), [{"x": numbers((1, 20))}])
    np.testing.assert_array_equal(found, numbers((1, 20))[:, :16])


def test_samples_that_fit_are_left_alone_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = read(graph_of(OPEN, SPEECH), [{"x": numbers(SPEECH)}])
    np.testing.assert_array_equal(found, numbers(SPEECH))


@pytest.mark.parametrize(
    ("declared", "shape", "given"),
    [
        (OPEN, SPEECH, (1, 6, 5)),  # features
        (OPEN, SPEECH, (1, 4, 6)),  # transposed
        ((1, 3, 8, 8), (1, 3, 8, 8), (1, 1, 8, 8)),  # gray
        ((1, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 9)),  # a picture of a fixed size
        (OPEN, SPEECH, (1, 0, 4)),
    ],
)
def test_another_kind_of_shape_is_an_error(declared: Any, shape: Any, given: Any) -> None:
    with pytest.raises(RangeError, match="has shape"):
        read(graph_of(declared, shape), [{"x": np.zeros(given, np.float32)}])


def pictures(folder: Path) -> None:
    red = np.zeros((20, 10, 3), np.uint8)
    red[..., 0] = 200
    Image.fromarray(red).save(folder / "a.png")
    Image.fromarray(red).convert("L").save(folder / "b.bmp")
    (folder / "notes.txt").write_text("no picture")


@pytest.mark.parametrize("shape", [(1, 3, 8, 4), (1, 8, 4, 3), (3, 8, 4)])
@pytest.mark.parametrize("bgr", [False, True])
def test_pictures_are_resized_and_scaled(shape: tuple[int, ...], bgr: bool, tmp_path: Path) -> None:
    pictures(tmp_path)
    images = Images(tmp_path, mean=(100, 50, 0), scale=(0.01,), bgr=bgr)
    color, gray = read(graph_of(shape, shape), images)
    axis = shape.index(3)
    wanted = [(0 - 100) / 100, -0.5, 2.0] if bgr else [1.0, -0.5, 0.0]
    for channel, value in enumerate(wanted):
        np.testing.assert_allclose(color.take(channel, axis), value, atol=1e-5)
    assert gray.shape == shape


def test_a_gray_input_reads_pictures_as_gray(tmp_path: Path) -> None:
    pictures(tmp_path)
    color, gray = read(graph_of((1, 1, 8, 4), (1, 1, 8, 4)), Images(tmp_path))
    np.testing.assert_array_equal(color, gray)


def test_a_picture_on_its_side_is_rotated_by_its_exif_data(tmp_path: Path) -> None:
    dark = np.zeros((4, 8), np.uint8)
    dark[:, 4:] = 255
    turned = Image.fromarray(dark)
    turned.getexif()[0x0112] = 6  # a quarter turn
    turned.save(tmp_path / "a.png", exif=turned.getexif())
    (found,) = read(graph_of((1, 1, 8, 4), (1, 1, 8, 4)), Images(tmp_path))
    assert found[0, 0, 0].max() == 0 and found[0, 0, -1].min() == 255


@pytest.mark.parametrize(
    ("shape", "images", "told"),
    [
        ((1, 6, 4, 5), {}, "is not one picture"),
        ((2, 3, 8, 8), {}, "is not one picture"),
        ((1, 3, 8, 8), {"mean": (1, 2)}, "2 numbers are given as the mean"),
        ((1, 3, 8, 8), {"scale": (float("nan"),)}, "as the scale"),
    ],
)
def test_what_is_no_picture_is_an_error(
    shape: Any, images: dict[str, Any], told: str, tmp_path: Path
) -> None:
    pictures(tmp_path)
    with pytest.raises(RangeError, match=told):
        read(graph_of(shape, shape), Images(tmp_path, **images))


def test_files_that_are_no_pictures_are_errors(tmp_path: Path) -> None:
    shape = (1, 3, 8, 8)
    with pytest.raises(RangeError, match="there are no pictures"):
        read(graph_of(shape, shape), Images(tmp_path))
    with pytest.raises(FileError, match="no such picture"):
        read(graph_of(shape, shape), Images(tmp_path / "gone"))
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    with pytest.raises(FileError, match=r"cannot be read(.|\n)*cut\.jpg"):
        read(graph_of(shape, shape), Images(tmp_path))


def test_the_command_line_takes_pictures_and_asks_for_their_scale(tmp_path: Path) -> None:
    pictures(tmp_path)
    proto = model([node("Relu", "x", "y")], {"x": (1, 3, 8, 8)})
    onnx.save(proto, tmp_path / "m.onnx")
    given = ["calibrate", str(tmp_path / "m.onnx"), "--samples", str(tmp_path)]
    asked = CliRunner().invoke(group, given)
    assert "--mean and --scale" in asked.exception.render(cli=True)  # type: ignore[union-attr]
    options = ["--mean", "100", "--scale", "0.01", "-o", str(tmp_path / "m.ranges")]
    done = CliRunner().invoke(group, [*given, *options])
    assert done.exit_code == 0, done.output
    assert "x@@-1.0,1.0" in (tmp_path / "m.ranges").read_text()
