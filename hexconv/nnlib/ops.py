"""The catalogue of nnlib ops, read from op_tables/nnlib: operands, results and constraints."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum, StrEnum
from typing import Any, Literal, get_args

from hexconv import resources
from hexconv.errors import GraphError
from hexconv.names import nearest
from hexconv.nnlib.graph import Padding

DTYPES = {"u8": "uint8", "u16": "uint16", "i16": "int16", "i32": "int32", "f32": "float32"}
Build = Literal["open", "v60", "v65", "v66"]
"""A shipped library, or the open source."""
BUILDS: tuple[Build, ...] = get_args(Build)

ExecutedForm = Literal["flat", "d32", "either"]
"""How an op's data is laid out when it is executed; either: prepare chooses."""

Emit = Literal["yes", "prepare", "never"]
"""Whether a lowering may emit an op, or only prepare inserts it, or nothing may."""

Proof = Literal["golden", "run", "source"]
"""The evidence for a row: recorded vectors, a run of the library, or only the source."""


class RangeRule(StrEnum):
    """How an op's output range is determined (docs/nnlib/quirks.md#output-ranges)."""

    REQUESTED_NUDGED = "requested_nudged"  # as requested; both ends shift until zero is exact
    REQUESTED_WIDENED = "requested_widened"  # as requested; one end is widened until zero is exact
    REQUESTED_EXACT = "requested_exact"  # as requested, which must have an integer zero point
    COPIED = "copied"  # the input's
    UNION = "union"  # of the inputs' ranges, zero made exact
    FIXED = "fixed"  # always the same
    DERIVED = "derived"  # from the input ranges alone
    DATA = "data"  # from the data of each run
    REMEMBERED = "remembered"  # from the data, and kept between runs
    NONE = "none"  # the op returns no range

    @property
    def static(self) -> bool:
        """Whether the range is the same for every input."""
        return self not in (RangeRule.DATA, RangeRule.REMEMBERED)

    @property
    def requested(self) -> bool:
        """Whether the op takes `out_min` and `out_max`."""
        return self.value.startswith("requested")


@dataclass(frozen=True)
class Operand:
    """One input or output by its role.

    `dtypes` lists the NumPy names allowed, none for any. `const`: must be a Const node, read at
    prepare. `shape_only`: a Const of which only the shape is read. `scalar`: one float32, 1x1x1x1.
    `variadic`: represents n tensors, the same n for all variadic operands of an op.
    """

    role: str
    dtypes: tuple[str, ...]
    const: bool = False
    shape_only: bool = False
    optional: bool = False
    variadic: bool = False
    scalar: bool = False

    @classmethod
    def parse(cls, text: str) -> Operand:
        """An operand in the catalogue's notation: `role [dtype] [const|shape] [optional]`.

        A role without dtype is a float scalar (a min or max); `*` after the role: variadic.
        """
        role, *words = text.split()
        flags = {word for word in words if word in ("const", "shape", "optional")}
        named = [word for word in words if word not in flags]
        if named and named[0] != "any":
            dtypes = tuple(DTYPES[code] for code in named[0].split("|"))
        else:
            dtypes = () if named or "shape" in flags else ("float32",)
        return cls(
            role=role.rstrip("*"),
            dtypes=dtypes,
            const=bool(flags & {"const", "shape"}),
            shape_only="shape" in flags,
            optional="optional" in flags,
            variadic=role.endswith("*"),
            scalar=not named and "shape" not in flags,
        )


@dataclass(frozen=True)
class Limit:
    """A constraint of the library beyond arity and types.

    Of three kinds: a size (`of` a role, on an `axis`, compared), two sizes or shapes that are
    `same`, or a named `rule` of hexconv.nnlib.constraints. `libraries` it holds for, none for all.
    `structural`: operands that break it do not fit each other at all, so that no reader of the
    graph can make sense of the node; sizes that have to be the `same` always are.
    """

    why: str
    ref: str
    rule: str = ""
    same: tuple[str, str] | None = None
    of: str = ""
    axis: str = ""
    name: str = ""
    equals: int | None = None
    min: int | None = None
    max: int | None = None
    multiple: int | None = None
    one_of: tuple[int, ...] = ()
    libraries: tuple[str, ...] = ()
    structural: bool = False

    @property
    def operands_fit(self) -> bool:
        """Whether a node that breaks the limit is malformed, not merely unsupported."""
        return self.structural or self.same is not None


@dataclass(frozen=True)
class OpSpec:
    """One op of the library.

    `id`: its position in MACE's third_party/nnlib/ops.h, which is passed to the library.
    `counts`: numbers of inputs allowed (empty: anything from the required ones up, as the variadic
    operands have it). `range_without`: the rule when the optional output range is omitted.
    `form`: flat, d32, either (prepare chooses): how it is executed. `emit`: yes, prepare
    (only prepare inserts such nodes) or never (`why` gives the reason). `proof`: golden (recorded
    vectors), run (a run of the facts), source (read from the source or docs only).
    `interleaved`: variadic operands come as n groups and not as groups of n.
    """

    name: str
    id: int
    family: str
    does: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    range: RangeRule
    range_without: RangeRule | None
    fixed: tuple[float, float] | None
    form: ExecutedForm
    padding: tuple[Padding, ...]
    counts: tuple[int, ...]
    limits: tuple[Limit, ...]
    notes: tuple[str, ...]
    libraries: tuple[Build, ...]
    emit: Emit
    why: str
    form_of: str
    proof: Proof
    source: str
    interleaved: bool
    _spread: dict[tuple[bool, int], tuple[Operand, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _positions: dict[int, dict[str, int]] = field(default_factory=dict, repr=False, compare=False)

    def accepts(self, count: int) -> bool:
        """Whether the op may have this many inputs."""
        if self.counts:
            return count in self.counts
        return len(self.roles(count)) == count

    def roles(self, count: int) -> tuple[Operand, ...]:
        """The operand at each position of a node with `count` inputs."""
        return self._at(True, count)

    def results(self, count: int) -> tuple[Operand, ...]:
        """The operand at each position of a node with `count` outputs."""
        return self._at(False, count)

    def _at(self, inputs: bool, count: int) -> tuple[Operand, ...]:
        key = inputs, count
        if key not in self._spread:
            operands = self.inputs if inputs else self.outputs
            self._spread[key] = _spread(operands, count, self.interleaved)
        return self._spread[key]

    def position(self, role: str, count: int) -> int | None:
        """The position of the first input of a role among `count`, if it exists."""
        if count not in self._positions:
            roles = [operand.role for operand in self.roles(count)]
            self._positions[count] = {role: roles.index(role) for role in roles}
        return self._positions[count].get(role)

    def rule_of(self, count: int) -> RangeRule:
        """The output range rule of a node with `count` inputs."""
        if self.range_without is not None and self.position("out_min", count) is None:
            return self.range_without
        return self.range


def _spread(operands: tuple[Operand, ...], count: int, interleaved: bool) -> tuple[Operand, ...]:
    """`operands` with the variadic ones repeated and the missing optional ones dropped."""
    variadic = [operand for operand in operands if operand.variadic]
    if not variadic:
        required = sum(not operand.optional for operand in operands)
        return operands[: max(count, required)]
    times = max(1, (count - (len(operands) - len(variadic))) // len(variadic))
    if interleaved:
        return tuple(variadic) * times
    spread: list[Operand] = []
    for operand in operands:
        spread += [operand] * (times if operand.variadic else 1)
    return tuple(spread)


class _Catalogue(Mapping[str, OpSpec]):
    """All ops by name, each parsed on first access."""

    def __init__(self) -> None:
        self._entries = resources.Entries(resources.folder("op_tables") / "nnlib")
        self._specs: dict[str, OpSpec] = {}

    def __getitem__(self, op: str) -> OpSpec:
        if op not in self._specs:
            self._specs[op] = self._build(op)
        return self._specs[op]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, op: object) -> bool:
        return op in self._entries

    def _build(self, op: str) -> OpSpec:
        row: dict[str, Any] = self._entries[op]
        if "form_of" in row:  # the form that prepare makes of another op: all else is that op's
            row = {**self._entries[row["form_of"]], **row}
        without = row.get("range_without")
        fixed = row.get("fixed")
        return OpSpec(
            name=op,
            id=row["id"],
            family=self._entries.family(op),
            does=row["does"],
            inputs=tuple(map(Operand.parse, row["inputs"])),
            outputs=tuple(map(Operand.parse, row["outputs"])),
            range=RangeRule(row["range"]),
            range_without=RangeRule(without) if without else None,
            fixed=(fixed[0], fixed[1]) if fixed else None,
            form=row["form"],
            padding=tuple(Padding[name] for name in row.get("padding", ["NA"])),
            counts=tuple(row.get("counts", ())),
            limits=tuple(_limit(item) for item in row.get("limits", ())),
            notes=tuple(row.get("notes", ())),
            libraries=tuple(row.get("libraries", BUILDS)),
            emit=row.get("emit", "yes"),
            why=row.get("why", ""),
            form_of=row.get("form_of", ""),
            proof=row.get("proof", "golden"),
            source=row["source"],
            interleaved=row.get("interleaved", False),
        )


def _limit(item: dict[str, Any]) -> Limit:
    """A limit from its row."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in item.items()
    }
    return Limit(**fields)


def to_dict(known: OpSpec) -> dict[str, Any]:
    """An entry as JSON, without empty fields."""
    row = {item.name: _plain(getattr(known, item.name)) for item in fields(known) if item.repr}
    return {key: value for key, value in row.items() if value not in (None, "", [], False)}


def _plain(value: Any) -> Any:
    """A value of the catalogue as JSON."""
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Padding):
        return value.name
    if isinstance(value, Operand | Limit):
        parts = {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
        return {key: part for key, part in parts.items() if part not in (None, "", [], False)}
    return value.value if isinstance(value, Enum) else value


@functools.cache
def catalogue() -> Mapping[str, OpSpec]:
    """Every op of the catalogue by name."""
    return _Catalogue()


def spec(op: str) -> OpSpec:
    """The catalogue's entry for an op.

    Raises:
        GraphError: the catalogue has no such op.
    """
    known = catalogue()
    if op in known:
        return known[op]
    near = nearest(op, known, 3)
    raise GraphError(
        f"the Hexagon library has no op '{op}' that hexconv knows",
        hint=f"did you mean {', '.join(near)}?" if near else "see `python -m hexconv ops`",
    )
