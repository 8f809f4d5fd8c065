"""The deployment YAML: presets, mistakes with their lines, and the way there and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from hexconv import resources
from hexconv.errors import ConfigError, FileError
from hexconv.mace.deployment_file import preset, read_deployment

from .deployments import GOOD, SUM, changed, line_of, write

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


@pytest.mark.parametrize("name, said", [("conformr", "conformer_dsp"), ("nothing", "hifigan_dsp")])
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
