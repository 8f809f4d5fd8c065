"""What a deployment file says of the model: shapes, formats, keys, validation data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from hexconv.errors import ConfigError, FileError, HexconvError
from hexconv.mace.deployment_file import model_names, read_deployment
from hexconv.model_names import check_model_name, model_name

from .deployments import GOOD, SUM, changed, line_of, write


def test_unknown_tensors_name_the_nearest(tmp_path: Path) -> None:
    asked = read_deployment(changed(tmp_path, "- speech", "- speach"))
    with pytest.raises(ConfigError, match="did you mean 'speech'") as caught:
        asked.check_model({"speech": (1, 144, 40)}, ["fa_out"])
    assert f"line {line_of('- speech')}" in str(caught.value)


@pytest.mark.parametrize("declared", [(1, 144, 41), (144, 40), (1, 0, 41)])
def test_shapes_that_contradict_the_model_are_reported(
    tmp_path: Path, declared: tuple[int, ...]
) -> None:
    asked = read_deployment(write(tmp_path))
    with pytest.raises(ConfigError, match="contradicts the model"):
        asked.check_model({"speech": declared}, ["fa_out"])


def test_a_dynamic_dimension_takes_the_files_size(tmp_path: Path) -> None:
    read_deployment(write(tmp_path)).check_model({"speech": (1, 0, 40)}, ["fa_out"])


def test_an_image_in_nhwc_is_turned_around(tmp_path: Path) -> None:
    path = write(tmp_path, **{"1,144,40": "1,224,200,3", "NONE": "NHWC"})
    asked = read_deployment(path)
    assert asked.shapes == {"speech": (1, 3, 224, 200)}
    asked.check_model({"speech": (1, 3, 224, 200)}, ["fa_out"])


def test_an_nchw_shape_said_to_be_nhwc_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path, **{"1,144,40": "1,3,224,200", "NONE": "NHWC"})
    with pytest.raises(ConfigError, match="write input_data_formats: NCHW"):
        read_deployment(path).check_model({"speech": (1, 3, 224, 200)}, ["fa_out"])


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "no keys"),
        (b"- a\n- b\n", "no keys"),
        (b"models: [", "not YAML"),
        (b"a: *b\n", "not YAML"),
        (b"a: &a [*a]\n", "line 1\n.*recursive"),
        (b"a: 1\nb: &b {c: *b}\n", "line 2\n.*recursive"),
        (b"a: 1\n? [x]\n: 2\n", "line 2\n.*a key is no text"),
        (b"\xff\xfe\xfa", "UTF-8"),
        (b"models: {}\n", "is empty"),
        (b"models: 3\n", "'models' is 3"),
        (b"models:\n  a: null\n", "'a' is empty"),
        (b"a: !!python/name:os.system x\n", "not YAML"),
        (b"[" * 4000, "not YAML|nested"),
        (b"models:\n\ta: 1\n", "not YAML"),
        (b"a: 1\n---\nb: 1\n", "not YAML"),
    ],
)
def test_what_is_no_deployment_file_is_reported(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_deployment(path)


def test_a_bomb_of_anchors_is_rejected(tmp_path: Path) -> None:
    layers = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = tmp_path / "x.yml"
    path.write_text("\n".join(layers))
    with pytest.raises(ConfigError, match="more than"):
        read_deployment(path)


@pytest.mark.parametrize("place", ["missing.yml", "."])
def test_a_file_that_is_not_there_is_reported(tmp_path: Path, place: str) -> None:
    with pytest.raises(HexconvError, match="cannot be read"):
        read_deployment(tmp_path / place)


IDLE = {
    "winograd": 2,
    "cl_mem_type": "image",
    "nnlib_graph_mode": 1,
    "limit_opencl_kernel_time": 1,
    "opencl_queue_window_size": 8,
}


@pytest.mark.parametrize("key", sorted(IDLE))
def test_a_key_without_meaning_on_the_dsp_is_reported(tmp_path: Path, key: str) -> None:
    document = yaml.safe_load(GOOD.replace("{sum}", SUM))
    document["models"]["conformer"][key] = IDLE[key]
    asked = read_deployment(write(tmp_path, yaml.safe_dump(document)))
    assert any(f"{key}: {IDLE[key]} has no effect" in text for text in asked.warnings)


WORDS = ["error", "line", "module", "import", "co_await", "wchar_t", "and_eq", "final", "include"]


@pytest.mark.parametrize(
    "file, wanted",
    [
        ("声学模型_v1", "model_v1_"),
        ("声码器_v1", "model_v1_"),
        ("声学模型", "model_"),
        ("модель-2.int8", "model_2_int8_"),
        ("modèle", "model_mod_le_"),
        ("モデル", "model_"),
        ("my-net.v2", "my_net_v2"),
    ],
)
def test_a_file_named_in_any_language_gives_a_name_that_mace_takes(file: str, wanted: str) -> None:
    name = model_name(f"models/{file}.onnx")
    check_model_name(name)
    digits = "" if file.isascii() else "[0-9a-f]{6}"
    assert re.fullmatch(re.escape(wanted) + digits, name)


def test_names_that_differ_in_chinese_alone_stay_different() -> None:
    names = ["声学模型_v1", "声码器_v1", "声学模型v1", "声学_v1"]
    assert len({model_name(f"{name}.onnx") for name in names}) == len(names)


@pytest.mark.parametrize("word", WORDS)
def test_a_file_named_by_a_word_of_cpp_gives_a_name_that_mace_takes(word: str) -> None:
    assert model_name(f"models/{word}.onnx") == f"model_{word}"
    with pytest.raises(ConfigError, match="cannot name a model"):
        check_model_name(word)


@pytest.mark.parametrize(
    "file, said",
    [
        ("x.npy", "is a NumPy file"),
        ("x.dat", "name raw float32 files .bin"),
        ("nowhere.bin", "is not a local file"),
        ("https://host/x", "is not a local file"),
    ],
)
def test_validation_data_that_mace_or_hexconv_cannot_read_is_reported(
    tmp_path: Path, file: str, said: str
) -> None:
    for name in ("x.npy", "x.dat"):
        (tmp_path / name).write_bytes(b"\0" * 4)
    path = changed(tmp_path, "backend: pytorch", f"validation_inputs_data: {file}")
    assert any(said in text for text in read_deployment(path).warnings)


@pytest.mark.parametrize("file", ["x.dat", "nowhere.bin"])
def test_data_that_cannot_be_calibrated_on_is_an_error_where_there_is_nothing_else(
    tmp_path: Path, file: str
) -> None:
    (tmp_path / "x.dat").write_bytes(b"\0" * 4)
    asked = read_deployment(
        changed(tmp_path, "backend: pytorch", f"validation_inputs_data: {file}")
    )
    with pytest.raises(FileError, match=rf"line \d+(.|\n)*{file}"):
        asked.check_samples()


def test_data_that_mace_would_download_is_no_error(tmp_path: Path) -> None:
    path = changed(tmp_path, "backend: pytorch", "validation_inputs_data: https://host/x")
    read_deployment(path).check_samples()


def test_a_range_whose_minimum_is_above_its_maximum_is_reported(tmp_path: Path) -> None:
    path = changed(tmp_path, "- -1.0,1.0", "- 1.0,-1.0")
    with pytest.raises(ConfigError, match=r"minimum above its maximum(.|\n)*write -1,1"):
        read_deployment(path)


def test_validation_data_without_a_suffix_is_raw_as_mace_writes_it(tmp_path: Path) -> None:
    (tmp_path / "in_speech").write_bytes(b"\0" * 4 * 144 * 40)
    path = changed(tmp_path, "backend: pytorch", "validation_inputs_data: in_speech")
    asked = read_deployment(path)
    assert asked.samples == {"speech": tmp_path / "in_speech"} and not asked.warnings


def test_of_several_models_one_is_taken_by_its_name(tmp_path: Path) -> None:
    whole = yaml.safe_load(GOOD.replace("{sum}", SUM))
    whole["models"]["other"] = whole["models"]["conformer"]
    path = write(tmp_path, yaml.safe_dump(whole))
    assert model_names(path) == ["conformer", "other"]
    assert read_deployment(path, name="other").name == "other"


@pytest.mark.parametrize("declared", [(1, 144, 40), (144, 40), (40,)])
def test_the_four_sizes_of_maces_runtime_fit_lower_ranks(
    tmp_path: Path, declared: tuple[int, ...]
) -> None:
    four = ",".join(map(str, (1,) * (4 - len(declared)) + declared))
    asked = read_deployment(changed(tmp_path, "1,144,40", four))
    asked.check_model({"speech": declared}, ["fa_out"])
    assert asked.of_model({"speech": declared}).shapes == {"speech": declared}


@pytest.mark.parametrize("shape", ["2,1,144,40", "1,2,144,40", "1,1,144,41"])
def test_other_sizes_in_front_contradict_a_lower_rank(tmp_path: Path, shape: str) -> None:
    asked = read_deployment(changed(tmp_path, "1,144,40", shape))
    with pytest.raises(ConfigError, match="contradicts the model"):
        asked.check_model({"speech": (1, 144, 40)}, ["fa_out"])
