"""A preset for a model of any names and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hexconv.mace.deployment_file import Deployment
from hexconv.mace.unsupported_keys import idle_keys
from hexconv.onnx_graph.read import read_model


def of_preset(
    asked: Deployment, given: Mapping[str, Sequence[int]]
) -> tuple[Deployment, dict[str, tuple[int, ...]], dict[str, tuple[float, float]]]:
    """A preset for a model of any names and shapes.

    Args:
        asked: the preset.
        given: sizes by input, instead of the preset's.

    Returns:
        The preset without tensors, ranges and an introduction of its own; sizes and ranges that it
        gives inputs which the model has as well.
    """
    found = read_model(asked.model_file)[0].graph.inputs
    shapes = {name: tuple(sizes) for name, sizes in given.items()}
    ranges = {}
    for value in found:
        item = next((item for item in asked.inputs if item.name == value.name), None)
        sizes = None if value.shape is None else list(value.shape)
        if item is None or not _fits(item.shape, sizes):
            continue
        shapes.setdefault(item.name, item.shape)
        if item.range is not None:
            ranges[item.name] = item.range
    names = {str(value.name) for value in found}
    samples = asked.samples if names == set(asked.samples) else {}
    entry = asked.document["models"][asked.name]
    document = {key: value for key, value in asked.document.items() if key != "library_name"}
    bare = replace(
        asked,
        document=document,
        inputs=(),
        outputs=(),
        range_file=None,  # of that name there is what an earlier conversion wrote
        file=replace(asked.file, text=asked.file.text.partition("\n\n")[2]),
        samples=samples,
        remote_samples=(),
        unusable_samples="",
        warnings=tuple(idle_keys({**document, **entry})),
    )
    return bare, shapes, ranges


def _fits(sizes: Sequence[int], declared: Sequence[object] | None) -> bool:
    """Whether the sizes are a model's, as far as it fixes them."""
    if declared is None or len(declared) != len(sizes):
        return False
    pairs = zip(sizes, declared, strict=True)
    return all(not isinstance(dim, int) or dim in (0, -1, size) for size, dim in pairs)
