"""A deployment file that names inner tensors, or not all outputs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
import pytest

import hexconv
from hexconv.errors import ConfigError
from tests.lowering.proof import numbers
from tests.onnx_graph.interfaces import embedded

YAML = """
library_name: t
target_abis: [arm64-v8a]
model_graph_format: file
model_data_format: file
models:
  tokens:
    platform: onnx
    model_file_path: tokens.onnx
    model_sha256_checksum: {sum}
    subgraphs:
      - input_tensors: [{input}]
        input_shapes: ["{sizes}"]
        output_tensors: [{outputs}]
        output_shapes: {shapes}
        input_data_formats: NONE
        output_data_formats: NONE
    runtime: dsp
    quantize: 1
"""


def deployment(folder: Path, **changes: str) -> Path:
    path = folder / "tokens.onnx"
    onnx.save(embedded(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    given = {"input": "e", "sizes": "1,7,8", "outputs": "y, top", "shapes": '["1,7,5", "1,7"]'}
    text = YAML.format(sum=digest, **{**given, **changes})
    (folder / "tokens.yml").write_text(text)
    return folder / "tokens.yml"


@pytest.mark.parametrize("sizes", ["1,7,8", "1,1,7,8"])
def test_a_deployment_may_name_inner_tensors_and_leave_out_integer_outputs(
    tmp_path: Path, sizes: str
) -> None:
    x = [{"e": numbers((1, 7, 8), seed)} for seed in range(3)]
    path = deployment(tmp_path, sizes=sizes, outputs="y", shapes='["1,7,5"]')
    model = hexconv.convert_deployment(path, samples=x)
    assert model.front is not None
    assert [item.name for item in model.graph.outputs] == ["y"]
    assert [item.name for item in model.graph.inputs] == ["e"]


def test_a_deployment_that_names_no_tensor_of_the_model_is_an_error_with_its_line(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match="has no input 'ee'"):
        hexconv.convert_deployment(deployment(tmp_path, input="ee"), samples=[])
