"""torch's exporters, both of them, to a proto."""

from __future__ import annotations

import io
import warnings

import onnx
import torch


def export(
    model: torch.nn.Module,
    example: torch.Tensor,
    opset: int = 17,
    *,
    dynamo: bool = False,
    names: tuple[list[str], list[str]] | None = None,
) -> onnx.ModelProto:
    """The model as ONNX, from the legacy or the dynamo exporter."""
    inputs, outputs = names or (None, None)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if dynamo:
            program = torch.onnx.export(
                model,
                (example,),
                opset_version=opset,
                dynamo=True,
                input_names=inputs,
                output_names=outputs,
                verbose=False,
            )
            assert program is not None
            return program.model_proto
        torch.onnx.export(
            model,
            (example,),
            buffer,
            opset_version=opset,
            dynamo=False,
            input_names=inputs,
            output_names=outputs,
        )
    return onnx.load_from_string(buffer.getvalue())
