"""The op-support table: what each ONNX op maps to on the DSP. Stable public API.

The rows are data (op_tables/onnx/*.yml) that the converter, `check`, the command line, the
documentation and other people's tools read.

    table = hexconv.op_table.load()
    table["MatMul"].nnlib, "Loop" in table, len(table), table.to_dict()
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from hexconv import resources
from hexconv.names import did_you_mean
from hexconv.notebook import html_table

Int8 = Literal["yes", "partly", "no"]
"""Whether an ONNX op runs in int8, in all, some or none of its forms."""

LANGUAGES = {"en": "en", "zh": "zh", "zh-CN": "zh"}


class Kind(StrEnum):
    """How a form of an ONNX op runs."""

    DIRECT = "direct"  # one nnlib op (and the Requantize that an int32 output needs)
    DECOMPOSITION = "decomposition"  # several nnlib ops, in uint8
    TABLE = "table"  # a lookup table of 256 entries
    FOLDED = "folded"  # computed before conversion, or absorbed by a neighbor: no node
    RELABEL = "relabel"  # a change of layout or name alone: no node
    FLOAT = "float"  # float ops on the DSP, with --float-fallback
    UNSUPPORTED = "unsupported"  # not on the DSP

    @property
    def int8(self) -> bool:
        """Whether the form stays in uint8."""
        return self not in (Kind.FLOAT, Kind.UNSUPPORTED)


@dataclass(frozen=True)
class Text:
    """One sentence in English and Chinese; both empty when there is nothing to say."""

    en: str = ""
    zh: str = ""

    def to(self, lang: str) -> str:
        """The sentence in `en`, `zh` or `zh-CN`."""
        return self.zh if LANGUAGES[lang] == "zh" else self.en

    def __bool__(self) -> bool:
        return bool(self.en)

    def __str__(self) -> str:
        return self.en


@dataclass(frozen=True)
class OpForm:
    """One way in which an ONNX op is lowered: when, to what, of which kind."""

    kind: Kind
    nnlib: tuple[str, ...]
    when: Text


@dataclass(frozen=True)
class Row:
    """The table's entry for one ONNX op.

    Attributes:
        op: ONNX op type.
        domain: its domain, empty for ai.onnx.
        family: its file in op_tables/onnx.
        since: the opsets at which ONNX (re)defined it, ascending; all of them are supported.
        does: what it computes.
        forms: what it maps to, by condition, in the order in which they are tried.
        int8: "yes", "partly" or "no".
        why: the reason.
        accuracy: in LSB of the output, against exact arithmetic on the same quantized inputs.
        limits: constraints of the library or hexconv.
        hint: the closest workaround where it is unsupported.
        source: where in the facts or in nnlib it comes from.
    """

    op: str
    domain: str
    family: str
    since: tuple[int, ...]
    does: Text
    forms: tuple[OpForm, ...]
    int8: Int8
    why: Text
    accuracy: Text
    limits: Text
    hint: Text
    source: str

    @property
    def nnlib(self) -> tuple[str, ...]:
        """Every nnlib op that the row names, in order, once."""
        return tuple(dict.fromkeys(op for form in self.forms for op in form.nnlib))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of its forms, in order, once."""
        return tuple(dict.fromkeys(form.kind for form in self.forms))

    @property
    def glance(self) -> Kind:
        """The op's main kind: its first form that emits nodes, else what is left."""
        for kinds in ((Kind.DIRECT, Kind.TABLE, Kind.DECOMPOSITION), (Kind.RELABEL, Kind.FOLDED)):
            for form in self.forms:
                if form.kind in kinds:
                    unsupported_on_data = Kind.UNSUPPORTED in self.kinds and self.int8 == "no"
                    return Kind.UNSUPPORTED if unsupported_on_data else form.kind
        return self.forms[0].kind

    def since_opset(self, opset: int) -> int | None:
        """The definition in force at an opset: the newest not above it."""
        return max((version for version in self.since if version <= opset), default=None)

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON."""
        texts = ("does", "why", "accuracy", "limits", "hint")
        return {
            "op": self.op,
            "domain": self.domain,
            "family": self.family,
            "since": list(self.since),
            "glance": self.glance.value,
            "int8": self.int8,
            **{name: _both(getattr(self, name)) for name in texts},
            "forms": [
                {"kind": form.kind.value, "nnlib": list(form.nnlib), "when": _both(form.when)}
                for form in self.forms
            ],
            "nnlib": list(self.nnlib),
            "source": self.source,
        }


class OpTable(Mapping[str, Row]):
    """The rows by ONNX op name, each parsed on first access."""

    def __init__(self, entries: resources.Entries) -> None:
        self._entries = entries
        self._rows: dict[str, Row] = {}

    def __getitem__(self, op: str) -> Row:
        if op not in self._entries:
            raise KeyError(f"{op!r}: {did_you_mean(op, self._entries)}no such ONNX op")
        if op not in self._rows:
            self._rows[op] = _row(op, self._entries.family(op), self._entries[op])
        return self._rows[op]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, op: object) -> bool:
        return op in self._entries

    def __repr__(self) -> str:
        return f"<hexconv.op_table.OpTable: {len(self)} ONNX ops>"

    def _repr_html_(self) -> str:
        rows = [(op, row.int8, ", ".join(row.nnlib)) for op, row in self.items()]
        return html_table(repr(self).strip("<>"), ("ONNX op", "int8", "nnlib ops"), rows)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The whole table as JSON, by op name."""
        return {op: row.to_dict() for op, row in self.items()}


@functools.cache
def load() -> OpTable:
    """The op-support table of this installation."""
    return OpTable(resources.Entries(resources.folder("op_tables") / "onnx"))


def _both(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}


def _text(value: dict[str, str] | None) -> Text:
    return Text(**value) if value else Text()


def _row(op: str, family: str, row: dict[str, Any]) -> Row:
    forms = tuple(
        OpForm(Kind(form["kind"]), tuple(form.get("nnlib", ())), _text(form.get("when")))
        for form in row["forms"]
    )
    return Row(
        op=op,
        domain=row.get("domain", ""),
        family=family,
        since=tuple(row["since"]),
        does=_text(row["does"]),
        forms=forms,
        int8=row["int8"],
        why=_text(row.get("why")),
        accuracy=_text(row.get("accuracy")),
        limits=_text(row.get("limits")),
        hint=_text(row.get("hint")),
        source=row["source"],
    )
