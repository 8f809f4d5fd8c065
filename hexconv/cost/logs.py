"""Profile logs: MACE's benchmark tables within any log, and nnlib's per-node counters as CSV."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hexconv.cost.mace_tables import DURATION, MOST_ROWS, RUN_ORDER
from hexconv.errors import FileError
from hexconv.files import read_bytes

SUMS_AGREE = 0.02
"""The two tables of one run round to a microsecond; more than this apart is not rounding."""

LIMIT = 256 << 20
TITLE = re.compile(r"Sort by [A-Z][A-Za-z ]*")
DASHES = re.compile(r"-{20,}\s*$")
COUNTER_HEADS = ("node", "id", "name", "op", "executions", "cycles")

HOW = (
    "run mace_run on the phone with MACE_CPP_MIN_VLOG_LEVEL=1 in its environment (--benchmark "
    "alone prints no table of the DSP) and keep its log as text; `hexconv phone profile` does that"
)
TOO_MANY = "get perf info error"
"""What MACE's runtime says when a graph has more nodes than it asks the library for."""


@dataclass(frozen=True)
class LogNode:
    """One row: `value` is the cost of one execution, in the log's unit."""

    id: int | None
    name: str
    op: str
    executions: int
    value: float


@dataclass(frozen=True)
class TypeSum:
    """Nodes of one type: their number, and the cost of one execution of all of them."""

    count: int
    value: float


@dataclass(frozen=True)
class Log:
    """One profiled run.

    Args:
        source: where it comes from.
        unit: "ms" or "cycles".
        nodes: in the order of execution; empty where the log has only sums.
        stated: sums by type as the log has them; empty where it has only rows.
        notes: defects of the log, and how they were handled.
    """

    source: str
    unit: str
    nodes: tuple[LogNode, ...]
    stated: Mapping[str, TypeSum] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def by_type(self) -> Mapping[str, TypeSum]:
        """Sums by type, most expensive first; from the rows, or the log's own sums if longer."""
        own = _sums((node.op, node.value) for node in self.nodes)
        count = sum(row.count for row in own.values())
        use = self.stated if sum(row.count for row in self.stated.values()) > count else own
        return dict(sorted(use.items(), key=lambda item: -item[1].value))

    @property
    def total(self) -> float:
        """The cost of one execution."""
        return sum(row.value for row in self.by_type.values())


STEERING = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""The colors of `adb logcat -v color`, and what else would steer the terminal that shows a log."""


def read_log(path: Path) -> Log:
    """Read a profile log.

    Raises:
        FileError: it is missing, empty, or contains no profile; the error says what it is.
    """
    data = read_bytes(path, "profile log")
    where = str(path)
    if not data.strip(b"\0 \r\n\t"):
        raise FileError("the profile log is empty", where=where, hint=HOW)
    if len(data) > LIMIT:
        raise FileError(
            f"the profile log has {len(data) >> 20} MiB",
            where=where,
            hint="cut out the part around 'Sort by Run Order'",
        )
    return parse_log(_text(data, where), where)


def parse_log(text: str, source: str = "") -> Log:
    """Find the profile in a log's text.

    Raises:
        FileError: there is none.
    """
    text = STEERING.sub("", text)
    counters = _counters(text, source)
    if counters is not None:
        return counters
    found = _tables(text)
    runs = [table for table in found if table.has("id") and table.has("op")]
    sums = [table for table in found if not table.has("id") and table.has("op")]
    if not any(table.rows for table in [*runs, *sums]):
        _refuse_large(text, source)
        raise FileError(
            "this is not a profile: there is no table of nodes in it",
            where=source,
            why=_looks_like(text, found),
            hint=HOW,
        )
    return _log(source, runs, sums)


def _refuse_large(text: str, where: str) -> None:
    """Raise if MACE gave up for there are too many nodes."""
    if TOO_MANY in text:
        raise FileError(
            f"MACE prints no profile of a graph of more than {MOST_ROWS:,} nodes",
            where=where,
            why=f"its runtime says '{TOO_MANY}' and ends",
            hint="cut the model (--split) and profile its parts, or count packets with "
            "`hexconv device profile`",
        )


def _text(data: bytes, where: str) -> str:
    """Decode: a byte order mark, UTF-8, UTF-16 without a mark, the Chinese code page."""
    for mark, encoding in (
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
        (b"\xef\xbb", "utf-8"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if data[:64].count(0) > 16:
        little = data[1:64:2].count(0) >= data[:64:2].count(0)
        if data[:4] in (b"\x7fELF", b"PK\x03\x04"):
            raise FileError("this is a binary file, not a profile log", where=where, hint=HOW)
        return data.decode("utf-16-le" if little else "utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("gb18030", "replace")


# ---- MACE's tables


@dataclass
class _Table:
    """A table between lines of dashes: its columns by meaning, its rows, whether it was closed."""

    title: str
    heads: list[str]
    rows: list[list[str]] = field(default_factory=list)
    broken: int = 0
    closed: bool = False

    def has(self, column: str) -> bool:
        return column in self.heads

    def cell(self, row: Sequence[str], column: str) -> str:
        return row[self.heads.index(column)] if column in self.heads else ""


COLUMNS = {
    "node id": "id",
    "node type": "op",
    "op type": "op",
    "node type id": "type_id",
    "executions": "executions",
    "times": "count",
    "duration(ms)": "ms",
    "avg(ms)": "ms",
    "called times": "executions",
    "count": "count",
    "name": "name",
    "node name": "name",
}


def _tables(text: str) -> list[_Table]:
    """Every table whose header is known; unrelated lines in between are skipped."""
    found: list[_Table] = []
    title = ""
    current: _Table | None = None
    for line in text.splitlines():
        named = TITLE.search(line)
        if named and "|" not in line:
            title, current = named.group(0).strip(), None
            continue
        cells = _cells(line)
        if cells is None:
            if current is not None and current.rows and DASHES.search(line):
                current.closed, current = True, None
            continue
        heads = [COLUMNS.get(" ".join(cell.lower().split()), cell.lower()) for cell in cells]
        if "op" in heads and "ms" in heads:
            current = _Table(title, heads)
            found.append(current)
        elif current is not None:
            _take(current, cells)
    return found


def _cells(line: str) -> list[str] | None:
    """The cells of a line with bars, whatever precedes the first bar."""
    if "|" not in line and "｜" not in line:
        return None
    flat = unicodedata.normalize("NFKC", line)
    start, end = flat.find("|"), flat.rfind("|")
    return [cell.strip() for cell in flat[start + 1 : end].split("|")] if end > start else [""]


def _take(table: _Table, cells: list[str]) -> None:
    """A row, if it is complete."""
    if len(cells) == len(table.heads) and _number(table.cell(cells, "ms")) is not None:
        table.rows.append(cells)
    else:
        table.broken += 1


def _number(text: str) -> float | None:
    """A number as any locale prints it: 1234.5, 1,234.5, 1234,5.

    A single comma without a point is the decimal point: MACE always prints three decimals.
    """
    plain = text.replace(" ", "").replace("\u00a0", "")
    if "," in plain:
        comma_is_point = "." not in plain and plain.count(",") == 1
        plain = plain.replace(",", "." if comma_is_point else "")
    try:
        value = float(plain)
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None


def _log(source: str, runs: list[_Table], sums: list[_Table]) -> Log:
    notes = []
    whole = [table for table in runs if table.rows]
    chosen = whole[-1] if whole else None
    if len(whole) > 1:
        closed = [table for table in whole if table.closed and not table.broken]
        chosen = closed[-1] if closed else chosen
        notes.append(f"the log has {len(whole)} runs: the last complete one is read")
    last = [table for table in sums if table.rows]
    stated = _stated(last[-1]) if last else {}
    nodes = _nodes(chosen) if chosen else ()
    if chosen is None:
        notes.append(f"'{RUN_ORDER}' is missing: there are sums by type only")
    elif not chosen.closed or chosen.broken:
        notes.append(
            f"'{RUN_ORDER}' is cut or mixed with other lines: {len(chosen.rows)} complete rows "
            f"read, {chosen.broken} broken"
        )
    if not last:
        notes.append(f"'{DURATION}' is missing: sums are computed from the rows")
    notes += _disagreements(nodes, stated)
    return Log(source, "ms", nodes, stated, tuple(notes))


def _nodes(table: _Table) -> tuple[LogNode, ...]:
    return tuple(
        LogNode(
            id=_whole(table.cell(row, "id")),
            name=table.cell(row, "name"),
            op=table.cell(row, "op"),
            executions=_whole(table.cell(row, "executions")) or 1,
            value=_number(table.cell(row, "ms")) or 0.0,
        )
        for row in table.rows
    )


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _stated(table: _Table) -> dict[str, TypeSum]:
    return {
        table.cell(row, "op"): TypeSum(
            _whole(table.cell(row, "count")) or 1, _number(table.cell(row, "ms")) or 0.0
        )
        for row in table.rows
    }


def _disagreements(nodes: Sequence[LogNode], stated: Mapping[str, TypeSum]) -> Iterator[str]:
    """Inconsistencies between the rows and the sums of one log."""
    if not nodes or not stated:
        return
    rows, sums = len(nodes), sum(row.count for row in stated.values())
    spent, said = sum(node.value for node in nodes), sum(row.value for row in stated.values())
    if rows != sums:
        yield f"'{RUN_ORDER}' has {rows} nodes, '{DURATION}' {sums}: one of them is cut"
    elif abs(spent - said) > SUMS_AGREE * max(spent, said):
        yield f"the rows sum to {spent:.3f} ms, the types to {said:.3f}: two runs are mixed"


def _sums(items: Iterator[tuple[str, float]]) -> dict[str, TypeSum]:
    sums: dict[str, TypeSum] = {}
    for op, value in items:
        before = sums.get(op, TypeSum(0, 0.0))
        sums[op] = TypeSum(before.count + 1, before.value + value)
    return sums


def _looks_like(text: str, found: Sequence[_Table]) -> str:
    if found:
        return "its tables have headers but no complete row: the log was cut after them"
    if TITLE.search(text):
        return "a title is there, its table is not: the log was cut after it"
    if "hexagon" in text.lower() or "mace" in text.lower():
        return "it is a log of MACE or of the DSP, but profiling was not on"
    return "it has neither MACE's tables nor nnlib's counters (node,id,name,op,executions,cycles)"


# ---- nnlib's counters


def _counters(text: str, source: str) -> Log | None:
    """The CSV `node,id,name,op,executions,cycles`, if the text has its header."""
    lines = text.lstrip("\ufeff").splitlines()
    start = next((i for i, line in enumerate(lines) if _is_counter_head(line)), None)
    if start is None:
        return None
    heads = [cell.strip().lower() for cell in _row(lines[start])]
    nodes, broken = [], 0
    for line in lines[start + 1 :]:
        row = _row(line)
        made = _counter(dict(zip(heads, row, strict=False)), len(row) == len(heads))
        if made is not None:
            nodes.append(made)
        elif line.strip(", \t"):
            broken += 1
    if not nodes:
        raise FileError(
            "the counters have a header but no complete row",
            where=source,
            hint="run the model before its counters are read",
        )
    notes = (f"{broken} incomplete lines were skipped",) if broken else ()
    return Log(source, "cycles", tuple(nodes), {}, notes)


def _row(line: str) -> list[str]:
    """The cells of a line; none where one is longer than the csv module reads."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _is_counter_head(line: str) -> bool:
    cells = {cell.strip().lower() for cell in line.split(",")}
    return {"op", "cycles"} <= cells and len(cells & set(COUNTER_HEADS)) >= 4


def _counter(row: Mapping[str, str], whole: bool) -> LogNode | None:
    cycles = _number(row.get("cycles", ""))
    if not whole or cycles is None or not row.get("op", "").strip():
        return None
    executions = max(1, _whole(row.get("executions", "1")) or 1)
    number = row.get("id", "").strip()
    identity = int(number, 16) if re.fullmatch(r"0[xX][0-9a-fA-F]+", number) else _whole(number)
    return LogNode(
        identity, row.get("name", "").strip(), row["op"].strip(), executions, cycles / executions
    )
