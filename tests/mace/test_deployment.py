"""The deployment YAML: presets, mistakes with their lines, and the way there and back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from hexconv import resources
from hexconv.errors import ConfigError, FileError, HexconvError
from hexconv.mace.deployment_file import model_names, preset, read_deployment
from hexconv.model_names import check_model_name, model_name

GOOD = """\
library_name: demo
target_abis: [arm64-v8a]
model_graph_format: file
model_data_format: file
models:
  conformer:
    platform: onnx
    model_file_path: model.onnx
    model_sha256_checksum: {sum}
    subgraphs:
      - input_tensors:
          - speech
        input_shapes:
          - 1,144,40
        input_ranges:
          - -1.0,1.0
        output_tensors:
          - fa_out
        output_shapes:
          - 1,144,287
        backend: pytorch
        input_data_formats: NONE
        output_data_formats: NCHW
        quantize_range_file: model.ranges
    runtime: dsp
    limit_opencl_kernel_time: 0
    nnlib_graph_mode: 0
    obfuscate: 0
    quantize: 1
"""
SUM = hashlib.sha256(b"model").hexdigest()
# The keys of the conformer file that the field's engineers use.
FIELD_MODEL = {
    "platform",
    "model_file_path",
    "model_sha256_checksum",
    "subgraphs",
    "runtime",
    "quantize",
    "limit_opencl_kernel_time",
    "nnlib_graph_mode",
    "obfuscate",
}
FIELD_SUBGRAPH = {
    "input_tensors",
    "input_shapes",
    "input_ranges",
    "output_tensors",
    "output_shapes",
    "backend",
    "validation_inputs_data",
    "input_data_formats",
    "output_data_formats",
    "quantize_range_file",
}
PRESETS = sorted(resources.folder("yml").glob("*.yml"))


def write(folder: Path, text: str = GOOD, **changes: str) -> Path:
    """A YAML with a model beside it; `changes` replace text, `_` in the names aside."""
    (folder / "model.onnx").write_bytes(b"model")
    text = text.replace("{sum}", SUM)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "my_dsp.yml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(folder: Path, old: str, new: str) -> Path:
    return write(folder, **{old: new})


def line_of(text: str) -> int:
    return 1 + next(i for i, line in enumerate(GOOD.splitlines()) if text in line)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    asked = read_deployment(write(tmp_path))
    asked.check_file()
    assert asked.name == "conformer"
    assert asked.shapes == {"speech": (1, 144, 40)}
    assert asked.input_ranges == {"speech": (-1.0, 1.0)}
    assert asked.outputs[0].format == "NCHW"
    assert asked.model_file == tmp_path / "model.onnx"
    assert asked.range_file == tmp_path / "model.ranges"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_is_valid_and_commented_in_two_languages(path: Path) -> None:
    assert read_deployment(path, beside=False).name == path.stem
    text = path.read_text(encoding="utf-8")
    assert "# " in text and any("一" <= letter <= "鿿" for letter in text)


def test_the_conformer_preset_has_the_keys_that_engineers_know() -> None:
    document = yaml.safe_load(preset("conformer_dsp").read_text(encoding="utf-8"))
    entry = document["models"]["conformer_dsp"]
    assert set(entry) == FIELD_MODEL
    graph = entry["subgraphs"][0]
    assert set(graph) == FIELD_SUBGRAPH
    assert (graph["input_tensors"], graph["input_shapes"]) == (["speech"], ["1,144,40"])
    assert (graph["output_tensors"], graph["output_shapes"]) == (["fa_out"], ["1,144,287"])
    assert (graph["input_data_formats"], graph["output_data_formats"]) == (["NONE"], ["NONE"])


def test_the_schema_is_a_schema() -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((resources.folder("yml") / "schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name, said", [("conformer", "conformer_dsp"), ("nothing", "hifigan_dsp")])
def test_an_unknown_preset_names_the_others(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        preset(name)


MISTAKES = [
    ("input_ranges", "input_rangs", "unknown key 'input_rangs'", "did you mean 'input_ranges'?"),
    ("quantize_range_file", "quantise_range_file", "unknown key", "'quantize_range_file'"),
    ("library_name", "libary_name", "unknown key 'libary_name'", "'library_name'"),
    ("backend: pytorch", "target_abis: [host]", "unknown key", "belongs at the top of the file"),
    ("backend: pytorch", "color: red", "unknown key 'color'", "remove it"),
    ("- 1,144,40", "- [1, 144, 40]", "MACE crashes on it", "write a string of commas"),
    ("- 1,144,287", "- 1,,287", "does not fit 'output_shapes'", "1,144,287"),
    ("- 1,144,287", "- 1,0,287", "does not fit 'output_shapes'", "1,144,287"),
    ("- -1.0,1.0", "- -1.0", "is a number", "write a string"),
    ("- -1.0,1.0", "- -1.0;1.0", "does not fit 'input_ranges'", "-1.0,1.0"),
    ("runtime: dsp", "runtime: DSP", '"DSP" is not in lower case', "write dsp"),
    ("runtime: dsp", "runtime: dps", '"dps" is not allowed', "did you mean 'dsp'?"),
    ("NCHW", "nchw", '"nchw" is not in upper case', "write NCHW"),
    ("quantize: 1", "quantize: true", "not allowed here", "use 0, 1"),
    ("quantize: 1", "quantize: 0", "quantized models only", "write quantize: 1"),
    ("data_format: file", "data_format: code", "graph in a file", "model_data_format: file"),
    ("  conformer:", "  9conformer:", "cannot name a model", "not a digit first"),
    ("  conformer:", "  class:", "cannot name a model", "letters"),
    ("  conformer:", "  con-former:", "cannot name a model", "letters"),
    ("    platform: onnx\n", "", "'platform' is missing", "onnx"),
    ("    runtime: dsp\n", "", "'runtime' is missing", "runtime: dsp"),
    (f"    model_sha256_checksum: {SUM}\n", "", "'model_sha256_checksum' is missing", "sha256sum"),
    (SUM, SUM[:-1], "no SHA-256", "sha256sum"),
    (SUM, "1" * 64, "a number to YAML", "in quotes"),
    ("platform: onnx", "platform: caffe", "does not support platform: caffe", "reads ONNX"),
    ("runtime: dsp", "runtime: gpu", "does not support runtime: gpu", "runtime: dsp"),
    ("obfuscate: 0", "obfuscate: 1", "does not support obfuscate", "obfuscate: 0"),
    (
        "graph_format: file",
        "graph_format: code",
        "not support model_graph_format: code",
        "mace exec",
    ),
    ("[arm64-v8a]", "[arm64-v8a, host]", "no Hexagon runtime for host", "keep arm64-v8a"),
    ("[arm64-v8a]", "[armhf]", "no Hexagon runtime for armhf", "armeabi-v7a"),
    ("  conformer:", "  error:", "cannot name a model", "no word of C++: model_error"),
    ("  conformer:", "  line:", "cannot name a model", "model_line"),
    ("  conformer:", "  module:", "cannot name a model", "model_module"),
    ("quantize: 1", "quantize: 1\n    data_type: fp32_fp32", "data_type is uint8", "leave it out"),
    ("quantize: 1", "quantize: 1\n    quantize_schema: int8", "quantize_schema", "leave it out"),
    ("quantize: 1", "quantize: 1\n    quantize_stat: 1", "quantize_stat", "hexconv calibrate"),
    ("quantize: 1", "quantize: 1\n    order: 1", "not support order: 1", "order: 0"),
    ("quantize: 1", "quantize: 1\n    accelerator_api: qnn", "accelerator_api", "leave it out"),
    ("quantize: 1", "quantize: 1\n    graph_optimize_options: a", "optimize_options", "without"),
    ("backend: pytorch", "check_tensors: h", "not support check_tensors: h", "leave it out"),
    ("- speech", "- speech\n          - mel", "1 input_shapes for 2 input_tensors", "one for each"),
    ("backend: pytorch", "input_data_types: int32", "float32", "leave it out"),
    ("backend: pytorch", "input_aliases: x", "does not rename", "leave"),
    ("backend: pytorch", "backend:", "'backend' is empty", ""),
    ("    quantize: 1\n", "    quantize: 1\n    quantize: 1\n", "twice", "keep one"),
]


@pytest.mark.parametrize("old, new, what, hint", MISTAKES)
def test_a_mistake_is_reported_with_its_line(
    tmp_path: Path, old: str, new: str, what: str, hint: str
) -> None:
    path = write(tmp_path, GOOD.replace("{sum}", SUM).replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        read_deployment(path)
    text = str(caught.value)
    assert what in text and hint in text
    assert f"{path}, line " in text


@pytest.mark.parametrize("old, new", [("obfuscate", "obfuscat"), ("1,144,40", "[1, 144, 40]")])
def test_the_line_is_the_right_one(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=f", line {line_of(old)} "):
        read_deployment(changed(tmp_path, old, new))


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, obfuscate="obfuscat", backend="backnd", **{"runtime: dsp": "runtime: x"})
    with pytest.raises(ConfigError) as caught:
        read_deployment(path)
    text = str(caught.value)
    assert text.startswith("3 mistakes")
    for key in ("obfuscat", "backnd", "runtime"):
        assert key in text


def test_a_second_model_and_a_second_subgraph_are_rejected(tmp_path: Path) -> None:
    whole = yaml.safe_load(GOOD.replace("{sum}", SUM))
    whole["models"]["other"] = whole["models"]["conformer"]
    with pytest.raises(ConfigError, match="2 models: conformer, other"):
        read_deployment(write(tmp_path, yaml.safe_dump(whole)))
    del whole["models"]["other"]
    graphs = whole["models"]["conformer"]["subgraphs"]
    whole["models"]["conformer"]["subgraphs"] = {"a": graphs[0], "b": graphs[0]}
    with pytest.raises(ConfigError, match="2 subgraphs"):
        read_deployment(write(tmp_path, yaml.safe_dump(whole)))


def test_subgraphs_may_be_named(tmp_path: Path) -> None:
    whole = yaml.safe_load(GOOD.replace("{sum}", SUM))
    entry = whole["models"]["conformer"]
    entry["subgraphs"] = {"default_graph": entry["subgraphs"][0]}
    asked = read_deployment(write(tmp_path, yaml.safe_dump(whole)))
    assert asked.shapes == {"speech": (1, 144, 40)}


def test_a_wrong_checksum_shows_both_sums(tmp_path: Path) -> None:
    wrong = "ab" * 32
    asked = read_deployment(changed(tmp_path, SUM, wrong))
    with pytest.raises(ConfigError) as caught:
        asked.check_file()
    assert wrong in str(caught.value) and SUM in str(caught.value)
    assert f"line {line_of('sha256')}" in str(caught.value)


def test_a_checksum_may_be_in_upper_case(tmp_path: Path) -> None:
    read_deployment(changed(tmp_path, SUM, SUM.upper())).check_file()


def test_a_missing_model_is_reported_with_the_line(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(FileError, match=f"line {line_of('model_file_path')}"):
        read_deployment(path).check_file()


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
        (b"a: &a [*a]\n", "nested|items"),
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
    assert asked.of_model({"speech": len(declared)}).shapes == {"speech": declared}


@pytest.mark.parametrize("shape", ["2,1,144,40", "1,2,144,40", "1,1,144,41"])
def test_other_sizes_in_front_contradict_a_lower_rank(tmp_path: Path, shape: str) -> None:
    asked = read_deployment(changed(tmp_path, "1,144,40", shape))
    with pytest.raises(ConfigError, match="contradicts the model"):
        asked.check_model({"speech": (1, 144, 40)}, ["fa_out"])
