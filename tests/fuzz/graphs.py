"""Makes random graphs of what networks are made of: layers, residuals, joins, masks, pools, norms.

A tensor is read by several others, is an output as well, is scaled from either side; branches
differ in loudness; clips lie inside and outside of the data. Every graph is finite in float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from tests.fuzz.cases import Array, Case, Step

Shape = tuple[int, ...]
SAMPLES = 3
SHORTEST, LONGEST = 3, 14
LARGEST = 1 << 13
"""Elements of a tensor, so that a graph takes a tenth of a second."""


@dataclass
class Maker:
    """One graph that is being made."""

    rng: np.random.Generator
    shapes: dict[str, Shape] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, Shape] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)

    def chance(self, share: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < share)

    def pick(self, *options: float) -> float:
        """One of the numbers."""
        return float(self.rng.choice(options))

    def size(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def noise(self, *shape: int, scale: float = 1.0) -> Array:
        """Normal float32."""
        return (scale * self.rng.standard_normal(shape)).astype(np.float32)

    def tensor(self, rank: int | None = None) -> str:
        """One of the tensors there are, the newest most often."""
        names = [n for n, s in self.shapes.items() if rank is None or len(s) == rank]
        if not names:
            return ""
        back = min(int(self.rng.geometric(0.45)), len(names))
        return names[-back]

    def like(self, name: str) -> str:
        """Another tensor of the same shape, or the same."""
        names = [n for n, s in self.shapes.items() if s == self.shapes[name]]
        return str(self.rng.choice(names))

    def add(
        self,
        op: str,
        inputs: list[str | Array | None],
        shape: Shape,
        outputs: int = 1,
        **attrs: object,
    ) -> str:
        """One node; arrays among its inputs are constants of its own."""
        number = len(self.steps)
        names, consts = [], {}
        for place, item in enumerate(inputs):
            if isinstance(item, (np.ndarray, np.generic)):
                name = f"c{number}_{place}"
                consts[name] = np.asarray(item)
                names.append(name)
            else:
                names.append(item or "")
        made = [f"t{number}" if k == 0 else f"t{number}_{k}" for k in range(outputs)]
        self.steps.append(Step(op, tuple(names), tuple(made), attrs, consts))
        for name in made:
            self.shapes[name] = shape
        return made[0]


Move = Callable[[Maker], bool]
MOVES: list[tuple[float, Move]] = []


def move(weight: float) -> Callable[[Move], Move]:
    """Register a way in which a graph may grow; it says whether it did."""

    def register(function: Move) -> Move:
        MOVES.append((weight, function))
        return function

    return register


@move(3)
def convolution(m: Maker) -> bool:
    """1-D and 2-D, dense, grouped and depthwise, dilated, with a stride, padded or not."""
    x = m.tensor(4 if m.chance(0.5) else 3) or m.tensor(3)
    if not x:
        return False
    batch, channels, *sizes = m.shapes[x]
    kernel = [m.size(1, min(5, size)) for size in sizes]
    dilation = [m.size(1, 2) if (k - 1) * 2 < s else 1 for k, s in zip(kernel, sizes, strict=True)]
    stride = [m.size(1, 2) if m.chance(0.3) else 1 for _ in sizes]
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    pads = [r // 2 if m.chance(0.8) else 0 for r in reach]
    after = [r - r // 2 if p else 0 for r, p in zip(reach, pads, strict=True)]
    group = channels if m.chance(0.2) else 2 if channels % 2 == 0 and m.chance(0.1) else 1
    outputs = channels if m.chance(0.5) or group > 1 else m.size(1, 12)
    total = zip(sizes, pads, after, reach, stride, strict=True)
    result = [(s + p + a - r - 1) // t + 1 for s, p, a, r, t in total]
    weights = m.noise(outputs, channels // group, *kernel)
    weights *= np.float32(m.pick(0.2, 1, 1, 3) / np.sqrt(weights[0].size))
    bias = m.noise(outputs, scale=m.pick(0.1, 0.3, 2)) if m.chance(0.6) else None
    m.add(
        "Conv",
        [x, weights, *([] if bias is None else [bias])],
        (batch, outputs, *result),
        group=group,
        dilations=dilation,
        strides=stride,
        pads=[*pads, *after],
    )
    return True


@move(0.5)
def transposed_convolution(m: Maker) -> bool:
    """That doubles the sizes."""
    x = m.tensor(3) or m.tensor(4)
    if not x or prod(m.shapes[x]) > LARGEST // 4:
        return False
    batch, channels, *sizes = m.shapes[x]
    outputs, axes = m.size(1, 8), len(sizes)
    weights = m.noise(channels, outputs, *[4] * axes, scale=0.7 / np.sqrt(channels * 2**axes))
    shape = (batch, outputs, *(2 * size for size in sizes))
    attrs = {"strides": [2] * axes, "pads": [1] * 2 * axes}
    m.add("ConvTranspose", [x, weights, m.noise(outputs, scale=0.1)], shape, **attrs)
    return True


@move(3)
def linear(m: Maker) -> bool:
    """A product with constant weights, with a bias of any kind, or none."""
    x = m.tensor()
    shape = m.shapes[x]
    columns = shape[-1] if m.chance(0.4) else m.size(1, 12)
    weights = m.noise(shape[-1], columns, scale=m.pick(0.2, 1, 1, 3) / np.sqrt(shape[-1]))
    result = (*shape[:-1], columns)
    y = m.add("MatMul", [x, weights], result)
    if m.chance(0.6):
        bias = m.noise(columns, scale=m.pick(0.1, 1)) if m.chance(0.8) else np.float32(0.7)
        pair: list[str | Array | None] = [y, np.asarray(bias)]
        m.add("Add", pair if m.chance(0.7) else pair[::-1], result)
    return True


@move(1.2)
def attention(m: Maker) -> bool:
    """Scores of a sequence with itself, scaled, masked, a softmax, and the mix."""
    x = m.tensor(3)
    if not x:
        return False
    batch, rows, width = m.shapes[x]
    turned = m.add("Transpose", [x], (batch, width, rows), perm=[0, 2, 1])
    scores = m.add("MatMul", [x, turned], (batch, rows, rows))
    factor = np.float32(m.pick(0.1, 1.0) / np.sqrt(width))
    scores = m.add(
        "Mul" if m.chance(0.6) else "Div", [scores, _for(factor, m)], (batch, rows, rows)
    )
    weighs = m.chance(0.8)
    if m.chance(0.4):
        seen = np.tri(rows, dtype=bool)[None]
        low = np.float32(m.pick(-5, -100, -1e4, -1e9) if weighs else -5)
        scores = m.add("Where", [seen, scores, low], (batch, rows, rows))
        m.shapes.pop(scores)  # a mask's -1e9 is for the softmax alone
    if weighs:
        scores = m.add("Softmax", [scores], (batch, rows, rows), axis=-1)
    m.add("MatMul", [scores, x], (batch, rows, width))
    return True


def _for(factor: np.float32, m: Maker) -> Array:
    """A factor; the reciprocal of one as often as not does no harm."""
    return np.asarray(factor if m.chance(0.7) else np.float32(1) / factor)


@move(4)
def activation(m: Maker) -> bool:
    """A function of one variable."""
    x = m.tensor()
    op = str(m.rng.choice(["Relu", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "HardSwish",
                           "Abs", "Neg", "Softplus", "Erf", "Gelu", "PRelu", "Exp"]))  # fmt: skip
    shape = m.shapes[x]
    if op == "LeakyRelu":
        m.add(op, [x], shape, alpha=m.pick(0.01, 0.1, 0.3))
    elif op == "PRelu":
        axis = m.size(0, len(shape) - 1)
        sizes = [s if a == axis and a else 1 for a, s in enumerate(shape)]
        m.add(op, [x, np.abs(m.noise(*sizes, scale=0.3))], shape)
    elif op == "Gelu":
        inner = m.add("Erf", [m.add("Div", [x, np.float32(np.sqrt(2))], shape)], shape)
        gate = m.add("Add", [inner, np.float32(1)], shape)
        m.add("Mul", [m.add("Mul", [x, gate], shape), np.float32(0.5)], shape)
    elif op == "Exp":
        m.add(op, [m.add("Clip", [x, np.float32(-6), np.float32(2)], shape)], shape)
    else:
        m.add(op, [x], shape)
    return True


@move(2)
def clip(m: Maker) -> bool:
    """Bounds on both sides of zero, or not; inside of the data, or not."""
    x = m.tensor()
    low, high = sorted(m.pick(-3, -1, -0.5, -0.1, 0, 0.1, 0.4, 1, 6) for _ in range(2))
    if low == high:
        high += 0.5
    bounds: list[Array | None] = [np.asarray(np.float32(low)), np.asarray(np.float32(high))]
    if m.chance(0.2):
        bounds[m.size(0, 1)] = None
    m.add("Clip", [x, *bounds], m.shapes[x])
    return True


@move(4)
def residual(m: Maker) -> bool:
    """Two tensors of one shape."""
    x = m.tensor()
    op = str(m.rng.choice(["Add", "Add", "Add", "Sub", "Mul", "Max", "Min"]))
    m.add(op, [x, m.like(x)], m.shapes[x])
    return True


@move(3)
def constant_operand(m: Maker) -> bool:
    """A number, or one for each of an axis, from either side."""
    x = m.tensor()
    shape = m.shapes[x]
    op = str(m.rng.choice(["Add", "Sub", "Mul", "Mul", "Div", "Max", "Min"]))
    scale = m.pick(0.01, 0.25, 1, 4)
    if m.chance(0.5):
        value = np.asarray(np.float32(scale if m.chance(0.7) else -scale))
    else:
        axis = m.size(1, len(shape) - 1)
        value = m.noise(*(s if a == axis else 1 for a, s in enumerate(shape)), scale=scale)
        if m.chance(0.5):
            value = value.reshape(value.shape[axis:])
    if op == "Div":
        value = np.sign(value) * np.maximum(np.abs(value), np.float32(0.1))
    pair: list[str | Array | None] = [x, value]
    swapped = m.chance(0.3) and op != "Div"
    m.add(op, pair[::-1] if swapped else pair, shape)
    return True


@move(2)
def affine(m: Maker) -> bool:
    """A factor and an addend for each channel, as norms end, or a BatchNormalization."""
    x = m.tensor()
    shape = m.shapes[x]
    if len(shape) > 2 and m.chance(0.6):
        n = shape[1]
        parts = [1 + m.noise(n, scale=0.3), m.noise(n, scale=0.5), m.noise(n, scale=0.3)]
        variance = np.abs(m.noise(n)) + np.float32(0.2)
        m.add("BatchNormalization", [x, *parts, variance], shape)
        return True
    y = m.add("Mul", [x, 1 + m.noise(shape[-1], scale=0.3)], shape)
    m.add("Add", [y, m.noise(shape[-1], scale=0.5)], shape)
    return True


@move(2.5)
def join(m: Maker) -> bool:
    """Tensors side by side, some of them louder, some twice."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    parts = [x]
    for _ in range(m.size(1, 2)):
        fits = [n for n, s in m.shapes.items() if len(s) == len(shape) and _beside(s, shape, axis)]
        part = str(m.rng.choice(fits))
        if m.chance(0.3):
            part = m.add("Mul", [part, np.float32(m.pick(0.1, 4, 10))], m.shapes[part])
        parts.append(part)
    total = sum(m.shapes[part][axis] for part in parts)
    result = (*shape[:axis], total, *shape[axis + 1 :])
    if prod(result) > LARGEST:
        return False
    if m.chance(0.5):
        parts = parts[::-1]
    m.add("Concat", list(parts), result, axis=axis)
    return True


def _beside(one: Shape, other: Shape, axis: int) -> bool:
    return all(a == b for i, (a, b) in enumerate(zip(one, other, strict=True)) if i != axis)


@move(1.5)
def part(m: Maker) -> bool:
    """A slice, or halves of which both are used."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    if shape[axis] < 2:
        return False
    if shape[axis] % 2 == 0 and m.chance(0.5):
        half = (*shape[:axis], shape[axis] // 2, *shape[axis + 1 :])
        first = m.add("Split", [x], half, 2, axis=axis, num_outputs=2)
        if m.chance(0.6):
            gate = m.add("Sigmoid", [f"{first}_1"], half)
            m.add("Mul", [first, gate], half)
        return True
    start = m.size(0, shape[axis] - 2)
    end = m.size(start + 1, shape[axis])
    result = (*shape[:axis], end - start, *shape[axis + 1 :])
    bounds = [np.array([number], np.int64) for number in (start, end, axis)]
    m.add("Slice", [x, *bounds], result)
    return True


@move(1)
def padding(m: Maker) -> bool:
    """Of any value, or reflected."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    before, after = m.size(0, 2), m.size(0, 2)
    if max(before, after) >= shape[axis] or before + after == 0:
        return False
    pads = np.zeros((2, len(shape)), np.int64)
    pads[:, axis] = before, after
    result = (*shape[:axis], shape[axis] + before + after, *shape[axis + 1 :])
    mode = str(m.rng.choice(["constant", "constant", "reflect", "edge"]))
    value = [np.asarray(np.float32(m.pick(0, 0, 1, -10)))] if mode == "constant" else []
    m.add("Pad", [x, pads.reshape(-1), *value], result, mode=mode)
    return True


@move(1.5)
def pool(m: Maker) -> bool:
    """Largest and mean, with pads, or over all of the map."""
    x = m.tensor(4 if m.chance(0.5) else 3)
    if not x:
        return False
    batch, channels, *sizes = m.shapes[x]
    if m.chance(0.3):
        op = str(m.rng.choice(["GlobalAveragePool", "GlobalMaxPool"]))
        m.add(op, [x], (batch, channels, *([1] * len(sizes))))
        return True
    kernel = [min(m.size(2, 3), size) for size in sizes]
    stride = [m.size(1, 2) for _ in sizes]
    pads = [1 if k == 3 and m.chance(0.5) else 0 for k in kernel]
    total = zip(sizes, pads, kernel, stride, strict=True)
    result = [(s + 2 * p - k) // t + 1 for s, p, k, t in total]
    op = str(m.rng.choice(["MaxPool", "AveragePool"]))
    attrs = {"count_include_pad": m.size(0, 1)} if op == "AveragePool" else {}
    m.add(
        op, [x], (batch, channels, *result), kernel_shape=kernel, strides=stride,
        pads=[*pads, *pads], **attrs,
    )  # fmt: skip
    return True


@move(1.5)
def reduction(m: Maker) -> bool:
    """Over one axis, or all but the batch."""
    x = m.tensor()
    shape = m.shapes[x]
    axes = [m.size(1, len(shape) - 1)] if m.chance(0.7) else list(range(1, len(shape)))
    op = str(m.rng.choice(["ReduceMean", "ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin"]))
    result = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    y = m.add(op, [x, np.array(axes, np.int64)], result, keepdims=1)
    if m.chance(0.4):
        m.add("Sub" if m.chance(0.5) else "Mul", [x, y], shape)
    return True


@move(1.5)
def norm(m: Maker) -> bool:
    """Layer norm as one node, or written out; instance norm."""
    x = m.tensor()
    shape = m.shapes[x]
    if shape[-1] < 4:
        return False
    scale, bias = 1 + m.noise(shape[-1], scale=0.3), m.noise(shape[-1], scale=0.3)
    if len(shape) > 2 and m.chance(0.2) and prod(shape[2:]) > 3:
        parts = [1 + m.noise(shape[1], scale=0.3), m.noise(shape[1], scale=0.3)]
        m.add("InstanceNormalization", [x, *parts], shape, epsilon=1e-3)
    elif m.chance(0.6):
        m.add("LayerNormalization", [x, scale, bias], shape, axis=-1, epsilon=1e-3)
    else:
        last, mean = np.array([-1], np.int64), (*shape[:-1], 1)
        middle = m.add("Sub", [x, m.add("ReduceMean", [x, last], mean)], shape)
        square = m.add("Pow", [middle, np.float32(2)], shape)
        variance = m.add("Add", [m.add("ReduceMean", [square, last], mean), np.float32(1e-3)], mean)
        m.add("Div", [middle, m.add("Sqrt", [variance], mean)], shape)
    return True


@move(1.5)
def mask(m: Maker) -> bool:
    """A choice, by a comparison with a constant, between tensors or a tensor and a number."""
    x = m.tensor()
    shape = m.shapes[x]
    op = str(m.rng.choice(["Greater", "Less", "GreaterOrEqual"]))
    chosen = m.add(op, [x, np.float32(m.pick(-1, 0, 0.3, 9))], shape)
    m.shapes.pop(chosen)  # no number
    if m.chance(0.5):
        other: str | Array = np.asarray(np.float32(m.pick(0, 0, -1, -5)))
    else:
        other = m.like(x)
        if m.chance(0.4):
            other = m.add("Mul", [other, np.float32(m.pick(0.1, 10))], shape)
    pair: list[str | Array | None] = [m.like(x), other]
    m.add("Where", [chosen, *(pair if m.chance(0.5) else pair[::-1])], shape)
    return True


@move(1.2)
def moved(m: Maker) -> bool:
    """Axes swapped, parted or joined; the batch stays."""
    x = m.tensor()
    shape = m.shapes[x]
    if len(shape) > 2 and m.chance(0.5):
        perm = [0, *(1 + m.rng.permutation(len(shape) - 1)).tolist()]
        m.add("Transpose", [x], tuple(shape[axis] for axis in perm), perm=perm)
        return True
    axis = m.size(1, len(shape) - 1)
    if len(shape) < 4 and shape[axis] % 2 == 0 and m.chance(0.5):
        sizes = [*shape[:axis], shape[axis] // 2, 2, *shape[axis + 1 :]]
    elif len(shape) > 2 and axis > 1:
        sizes = [*shape[: axis - 1], shape[axis - 1] * shape[axis], *shape[axis + 1 :]]
    else:
        return False
    m.add("Reshape", [x, np.array([0, *sizes[1:]], np.int64)], tuple(sizes))
    return True


@move(0.6)
def repeated(m: Maker) -> bool:
    """Along an axis."""
    x = m.tensor()
    shape = m.shapes[x]
    axis, times = m.size(1, len(shape) - 1), m.size(2, 5)
    if prod(shape) * times > LARGEST:
        return False
    count = np.ones(len(shape), np.int64)
    count[axis] = times
    result = (*shape[:axis], shape[axis] * times, *shape[axis + 1 :])
    m.add("Tile", [x, count], result)
    return True


@move(0.6)
def picked(m: Maker) -> bool:
    """Constant positions along an axis."""
    x = m.tensor()
    shape = m.shapes[x]
    axis = m.size(1, len(shape) - 1)
    places = m.rng.integers(0, shape[axis], m.size(1, 6))
    m.add("Gather", [x, places], (*shape[:axis], len(places), *shape[axis + 1 :]), axis=axis)
    return True


@move(0.5)
def blocks(m: Maker) -> bool:
    """Depth to space, and images resized."""
    x = m.tensor(4)
    if not x or prod(m.shapes[x]) > LARGEST // 4:
        return False
    batch, channels, height, width = m.shapes[x]
    if channels % 4 == 0 and m.chance(0.5):
        mode = str(m.rng.choice(["DCR", "CRD"]))
        shape = (batch, channels // 4, 2 * height, 2 * width)
        m.add("DepthToSpace", [x], shape, blocksize=2, mode=mode)
        return True
    scales = np.array([1, 1, 2, 2], np.float32)
    attrs = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    shape = (batch, channels, 2 * height, 2 * width)
    m.add("Resize", [x, None, scales], shape, nearest_mode="floor", **attrs)
    return True


@move(0.4)
def recurrent(m: Maker) -> bool:
    """A few steps of a GRU or LSTM."""
    x = m.tensor(3)
    if not x or m.shapes[x][1] > 4:
        return False
    batch, steps, width = m.shapes[x]
    hidden, op = m.size(2, 6), str(m.rng.choice(["GRU", "LSTM"]))
    gates = {"GRU": 3, "LSTM": 4}[op]
    turned = m.add("Transpose", [x], (steps, batch, width), perm=[1, 0, 2])
    scale = 1 / np.sqrt(width)
    parts = [
        m.noise(1, gates * hidden, width, scale=scale),
        m.noise(1, gates * hidden, hidden, scale=0.4),
        m.noise(1, 2 * gates * hidden, scale=0.2),
    ]
    y = m.add(op, [turned, *parts], (steps, 1, batch, hidden), hidden_size=hidden)
    m.shapes.pop(turned)
    m.shapes.pop(y)
    flat = m.add("Squeeze", [y, np.array([1], np.int64)], (steps, batch, hidden))
    m.shapes.pop(flat)
    m.add("Transpose", [flat], (batch, steps, hidden), perm=[1, 0, 2])
    return True


def random_case(seed: int) -> Case:
    """The graph of a seed."""
    rng = np.random.default_rng(seed)
    m = Maker(rng)
    batch = int(rng.choice([1, 1, 1, 2, 3]))
    rank = int(rng.choice([2, 3, 3, 4, 4]))
    for number in range(1 if m.chance(0.75) else 2):
        sizes = {2: [m.size(4, 16)], 3: [m.size(2, 8), m.size(4, 16)]}.get(
            rank, [m.size(1, 8), m.size(1, 8), m.size(3, 9)]
        )
        first = next(iter(m.inputs.values()), (batch, *sizes))
        m.inputs[f"x{number}"] = first
        m.shapes[f"x{number}"] = first
    weights = np.array([weight for weight, _ in MOVES])
    for _ in range(m.size(SHORTEST, LONGEST)):
        if len(m.steps) >= LONGEST:
            break
        MOVES[int(rng.choice(len(MOVES), p=weights / weights.sum()))][1](m)
    names = [name for name in m.shapes if name not in m.inputs]
    if not names:
        m.add("Relu", ["x0"], m.shapes["x0"])
        names = ["t0"]
    ends = [names[-1], *(name for name in names[:-1] if m.chance(0.08))]
    samples = tuple(_sample(m, number) for number in range(SAMPLES))
    case = Case(seed, dict(m.inputs), tuple(m.steps), tuple(dict.fromkeys(ends)), samples)
    return _decided(case.tidied())


def _between(values: Array) -> Array:
    """The middle of the widest gap between sorted values; what is far from the only one."""
    if len(values) == 1:
        return np.asarray(values[0] + 1, np.float32)
    middle = values[len(values) // 5 : max(len(values) * 4 // 5, len(values) // 5 + 2)]
    widest = int(np.argmax(np.diff(middle)))
    return np.asarray((middle[widest] + middle[widest + 1]) / 2, np.float32)


COMPARISONS = ("Greater", "GreaterOrEqual", "Less")


def _decided(case: Case) -> Case:
    """With thresholds that lie inside of the data in the widest gap between its values.

    A value that is at the threshold is decided by chance, in float as well as in 8 bits.
    """
    for place, step in enumerate(case.steps):
        if step.op not in COMPARISONS:
            continue
        data, threshold = step.inputs
        known = case.samples if data in case.shapes else case.values([data])
        values = np.unique(np.concatenate([run[data].reshape(-1) for run in known]))
        if not values[0] <= step.consts[threshold] <= values[-1]:
            continue
        between = _between(values)
        new = replace(step, consts={threshold: between})
        case = replace(case, steps=(*case.steps[:place], new, *case.steps[place + 1 :]))
    return case


def _sample(m: Maker, number: int) -> dict[str, Array]:
    """Normal, of one sign, or uniform; some samples are quieter."""
    loudness = 1.0 if number == 0 else m.pick(1, 0.7, 0.4)
    feeds = {}
    for name, shape in m.inputs.items():
        kind = np.random.default_rng(len(m.steps) + sum(shape)).integers(0, 4)
        values = m.noise(*shape)
        if kind == 0:
            values = np.abs(values)
        elif kind == 1:
            values = values + np.float32(1.5)
        feeds[name] = (np.float32(loudness) * values).astype(np.float32)
    return feeds
