"""A deployment file that is right, and changes of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

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
