"""A deployment YAML's tensors against the model's: names, shapes, data formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexconv.mace.deployment_rules import Mistake
from hexconv.names import did_you_mean, listed
from hexconv.raw_tensors import NOT_NCHW, DataFormat, four_sizes, from_format, in_format


@dataclass(frozen=True)
class DeclaredTensor:
    """One input or output of the YAML.

    Attributes:
        name: of the tensor.
        written: its sizes as the YAML has them, in the YAML's format.
        format: MACE's word ("NHWC" where the file has none).
        range: None where the file has none.
        model: its sizes in the ONNX model, once those are known; below 1 where they are not fixed.
    """

    name: str
    written: tuple[int, ...]
    format: DataFormat = "NHWC"
    range: tuple[float, float] | None = None
    model: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The ONNX model's shape.

        NHWC is transposed to NCHW; of the 4 sizes that MACE's runtime needs, leading ones are left
        out at lower ranks, and the first is several at higher ranks.
        """
        if self.model and len(self.model) > 4 and self.written == four_sizes(self.model):
            return self.model
        extra = 4 - (4 if self.rank is None else self.rank)
        if len(self.written) == 4 and extra > 0 and set(self.written[:extra]) == {1}:
            return self.written[extra:]
        return from_format(self.written, self.format)

    @property
    def rank(self) -> int | None:
        """Of the tensor in the ONNX model, once that is known."""
        return None if self.model is None else len(self.model)

    def of_model(self, sizes: Sequence[int] | None) -> DeclaredTensor:
        """The same tensor, its sizes in the ONNX model known."""
        return replace(self, model=None if sizes is None else tuple(sizes))


def commas(values: Sequence[object]) -> str:
    """`1,144,40`: a YAML list of numbers crashes MACE."""
    return ",".join(map(str, values))


def name_mistakes(
    tensors: Sequence[DeclaredTensor], known: Sequence[str], side: str
) -> list[Mistake]:
    """Tensors that the model does not have, or that the YAML leaves out."""
    found = []
    for index, item in enumerate(tensors):
        if item.name in known:
            continue
        hint = f"{did_you_mean(item.name, known)}its {side}s are {listed(known)}"
        found.append(
            Mistake((f"{side}_tensors", index), f"the model has no {side} '{item.name}'", hint)
        )
    have = {item.name for item in tensors}
    left = [name for name in known if name not in have]
    if left and not found:
        hint = (
            "name all of them" if side == "input" else "name all of them, or cut the model before"
        )
        found.append(
            Mistake((f"{side}_tensors",), f"the model's {side} '{left[0]}' is not named", hint)
        )
    return found


def input_mistakes(item: DeclaredTensor, declared: Sequence[int], index: int) -> list[Mistake]:
    """The requested shape against the model's own; sizes below 1 are not fixed."""
    if _fits(item.shape, declared):
        return []
    hint = f"the model declares {commas([size if size > 0 else '?' for size in declared])}"
    if item.shape != item.written and len(declared) == 4:
        if _fits(item.written, declared):
            hint = "this is the model's NCHW shape: write input_data_formats: NCHW"
        else:
            hint += " (NCHW; the file's shape is NHWC according to input_data_formats)"
    what = f"the shape {commas(item.written)} of '{item.name}' contradicts the model"
    return [Mistake(("input_shapes", index), what, hint)]


def _fits(shape: Sequence[int], declared: Sequence[int]) -> bool:
    return len(declared) == len(shape) and all(
        size < 1 or size == wanted for size, wanted in zip(declared, shape, strict=True)
    )


def output_mistakes(item: DeclaredTensor, real: tuple[int, ...], index: int) -> list[Mistake]:
    """The requested shape against that of the conversion."""
    if item.shape == real:
        return []
    text = commas(in_format(real, item.format)) or "1"
    what = f"the output '{item.name}' has another shape"
    return [Mistake(("output_shapes", index), what, f"write {text}")]


def format_mistakes(tensors: Sequence[DeclaredTensor], side: str) -> list[Mistake]:
    """Formats with which MACE would pass other data than the application's.

    An output of other than 4 axes that the application requests as a 4-D tensor is transposed
    in every run: MACE treats each 4-D output as NHWC.
    """
    wrong = [index for index, item in enumerate(tensors) if _misread(item, side)]
    if not wrong:
        return []
    item = tensors[wrong[0]]
    assert item.rank is not None
    right = ["NONE" if index in wrong else other.format for index, other in enumerate(tensors)]
    hint = f"write {side}_data_formats: {right[0] if len(right) == 1 else _yaml_list(right)}"
    why = NOT_NCHW if side == "input" else "MACE would transpose it"
    what = f"'{item.name}' has {item.rank} axes and cannot be NCHW: {why}"
    return [Mistake((f"{side}_data_formats", wrong[0]), what, hint)]


def _misread(item: DeclaredTensor, side: str) -> bool:
    if item.rank in (None, 4) or item.format != "NCHW":
        return False
    return side == "input" or len(item.written) == 4


def _yaml_list(words: Sequence[str]) -> str:
    return f"[{', '.join(words)}]"
