"""`hexconv ops`: what each ONNX op maps to, and the operands of each library op."""

from __future__ import annotations

from collections.abc import Callable

import click

from hexconv import op_pages, op_table
from hexconv.cli._json import emit
from hexconv.cli._terminal import say, table, width_of
from hexconv.names import nearest
from hexconv.nnlib import ops as nnlib
from hexconv.translation import language

FORMATS = ("table", "md", "json", "csv")
SHARES = {
    "yes": "Ops that run in int8",
    "partly": "Ops that run in int8 in some forms",
    "no": "Ops that do not run in int8",
}


@click.command()
@click.argument("name", required=False)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", help="Output format."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--unsupported", is_flag=True, help="The ops that are not in int8: why, what to do.")
@click.option("--wide", is_flag=True, help="A row for each op.")
def command(name: str | None, form: str, as_json: bool, unsupported: bool, wide: bool) -> None:
    """Print the op-support table, or one op in full.

    NAME is an ONNX op (MatMul) or an op of the Hexagon library (QuantizedMul_8x8to8).
    """
    form, lang = "json" if as_json else form, language()
    if unsupported or wide:
        if name is not None or form != "table":
            raise click.UsageError("--unsupported and --wide take no NAME and no format")
        (_unsupported if unsupported else _wide)(lang)
    elif name is None:
        _WHOLE[form](lang)
    else:
        _one(name, form, lang)


def _whole_md(lang: str) -> None:
    click.echo(op_pages.page(op_table.load(), nnlib.catalogue(), lang), nl=False)


def _whole_json(lang: str) -> None:
    emit("ops", {"ops": op_table.load().to_dict()})


def _whole_csv(lang: str) -> None:
    table = op_table.load()
    click.echo(op_pages.as_csv([table[op] for op in sorted(table)], lang), nl=False)


def _whole_table(lang: str) -> None:
    """The names of all ops, by how far they run in int8."""
    rows = op_table.load().values()
    for int8, title in SHARES.items():
        names = sorted(row.op for row in rows if row.int8 == int8)
        say(f"{title}: {len(names)}", style="bold")
        say(f"  {', '.join(names)}")
    say(f"{len(rows)} ops. One in full: hexconv ops NAME; more of all: --unsupported, --wide")


def _wide(lang: str) -> None:
    """A row for each op."""
    rows = op_table.load()
    heads = [op_pages.word(head, lang) for head in ("op", "since", "becomes", "int8", "does")]
    cells = [op_pages.glance_cells(rows[op], lang) for op in sorted(rows)]
    table(heads, [(*row[:4], row[5]) for row in cells], prose=True, whole=True, drop=heads[1:2])


def _unsupported(lang: str) -> None:
    """The ops that the DSP has not, with reasons and what to do instead."""
    rows, colon = op_table.load(), op_pages.MARKS[lang][0]
    for op in sorted(rows):
        row = rows[op]
        if row.int8 == "no":
            say(f"{op}{colon}{row.why.to(lang)}")
            if row.hint:
                say(f"  {op_pages.word('hint', lang)}{colon}{row.hint.to(lang)}")


_WHOLE: dict[str, Callable[[str], None]] = {
    "table": _whole_table,
    "md": _whole_md,
    "json": _whole_json,
    "csv": _whole_csv,
}


def _one(name: str, form: str, lang: str) -> None:
    """An ONNX op or an op of the library in full; a name may be both."""
    table, catalogue = op_table.load(), nnlib.catalogue()
    known = {op.lower(): op for op in (*catalogue, *table)}
    op = name if name in table or name in catalogue else known.get(name.lower())
    if op is None:
        near = nearest(name, known.values(), 5)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise click.BadParameter(f"no ONNX op and no op of the library is named '{name}'{hint}")
    if form == "json":
        row = table[op].to_dict() if op in table else nnlib.to_dict(catalogue[op])
        emit("op", {"op": row})
    elif form == "csv":
        if op not in table:
            raise click.BadParameter(f"'{op}' is an op of the library: use --format json")
        click.echo(op_pages.as_csv([table[op]], lang), nl=False)
    else:
        _show(op, form, lang)


def _show(op: str, form: str, lang: str) -> None:
    table, catalogue = op_table.load(), nnlib.catalogue()
    pages = []
    if op in table:
        pages.append(op_pages.row_page(table[op], lang, level=1))
    if op in catalogue:
        pages.append(op_pages.spec_page(catalogue[op], lang, level=1))
    text = "\n\n".join(pages)
    if form == "md" or width_of() is None:
        click.echo(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
