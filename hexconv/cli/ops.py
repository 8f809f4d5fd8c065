"""`hexconv ops`: what each ONNX op maps to, and the operands of each library op."""

from __future__ import annotations

from collections.abc import Callable

import click

from hexconv import op_pages, op_table
from hexconv.cli._json import emit
from hexconv.names import nearest
from hexconv.nnlib import ops as nnlib

FORMATS = ("table", "md", "json", "csv")


@click.command()
@click.argument("name", required=False)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", help="Output format."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--lang", type=click.Choice(sorted(op_table.LANGUAGES)), default="en", help="Language."
)
def command(name: str | None, form: str, as_json: bool, lang: str) -> None:
    """Print the op-support table, or one op in full.

    NAME is an ONNX op (MatMul) or an op of the Hexagon library (QuantizedMul_8x8to8).
    """
    form, lang = "json" if as_json else form, op_table.LANGUAGES[lang]
    if name is None:
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
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table, counts = op_table.load(), dict.fromkeys(op_table.Kind, 0)
    shown = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    heads = ("op", "since", "becomes", "int8", "nnlib", "does")
    for head in heads:
        whole = head in ("op", "becomes", "int8")
        shown.add_column(op_pages.word(head, lang), no_wrap=whole, overflow="fold")
    for op in sorted(table):
        counts[table[op].glance] += 1
        shown.add_row(*op_pages.glance_cells(table[op], lang))
    console = Console()
    console.print(shown)
    said = (f"{n} {op_pages.word(kind.value, lang)}" for kind, n in counts.items() if n)
    console.print(f"{len(table)}: {', '.join(said)}")


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
    if form == "md":
        click.echo(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
