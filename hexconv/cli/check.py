"""`hexconv check`: what each node of a model maps to, and every unsupported node at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hexconv.cli._ci import ci_options
from hexconv.cli._json import emit
from hexconv.cli._options import interface_options
from hexconv.op_table import LANGUAGES
from hexconv.settings import OptimizeLevel

if TYPE_CHECKING:
    from hexconv.support import NodeSupport, SupportReport


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@interface_options
@click.option("--optimize", type=click.Choice(["none", "default", "all"]), default="default")
@click.option("--float-fallback", is_flag=True, help="Let float ops compute what int8 cannot.")
@click.option("--all", "show_all", is_flag=True, help="Show every node, not only unsupported ones.")
@click.option("--lang", type=click.Choice(sorted(LANGUAGES)), default="en", help="Language.")
@ci_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; use the exit code.")
def command(
    model: Path,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    optimize: OptimizeLevel,
    float_fallback: bool,
    show_all: bool,
    lang: str,
    as_json: bool,
    quiet: bool,
    **interface: Any,
) -> None:
    """Show what each node of MODEL maps to on the DSP, or why it is unsupported.

    Exit code 0 if the whole model runs, 1 if a node is unsupported.
    """
    from hexconv.support import check

    report = check(model, dict(shapes), optimize, float_fallback=float_fallback, **interface)
    emit("check", {"source": report.source, "coverage": report.to_dict()}, shown=as_json)
    if not (as_json or quiet):
        _show(report, show_all, LANGUAGES[lang])
    if not report.ok:
        sys.exit(1)


def _show(report: SupportReport, show_all: bool, lang: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    say = WORDS[lang]
    console = Console(highlight=False)
    rows = report.nodes if show_all else report.unsupported
    if rows:
        table = Table(say["node"], say["op"], say["dsp"], box=None, header_style="bold")
        for row in rows:
            cells = (row.node or say["outside"], row.op, _fate(row, lang))
            table.add_row(escape(cells[0]), escape(cells[1]), cells[2])
        console.print(table)
    shares = f"{report.node_share:.1%}", f"{report.mac_share:.1%}"
    line = say["sum"].format(len(report.nodes), *shares)
    if report.unsupported:
        line += say["unsupported_count"].format(len(report.unsupported))
    console.print(line, soft_wrap=True)


def _fate(row: NodeSupport, lang: str) -> str:
    from rich.markup import escape

    say = WORDS[lang]
    if not row.reason:
        return escape(" + ".join(row.nnlib)) if row.nnlib else say["nothing"]
    note = _note(row.op, lang) if lang != "en" else ""
    lines = [f"[red]{say['unsupported']}[/]: {escape(row.reason)}"]
    lines += [f"  {escape(note)}"] if note else []
    lines += [f"  {say['do']}: {escape(row.hint)}"] if row.hint else []
    return "\n".join(lines)


def _note(op: str, lang: str) -> str:
    """The op table's note about an op, which exists in every language."""
    from hexconv import op_table

    table = op_table.load()
    return table[op].why.to(lang) if op in table else ""


WORDS = {
    "en": {
        "node": "node",
        "op": "op",
        "dsp": "on the DSP",
        "unsupported": "unsupported",
        "do": "do",
        "nothing": "no node (layout only)",
        "outside": "(the model's interface)",
        "sum": "{} nodes: {} of them and {} of the multiply-accumulates run in int8",
        "unsupported_count": "; {} unsupported",
    },
    "zh": {
        "node": "节点",
        "op": "算子",
        "dsp": "在 DSP 上",
        "unsupported": "不支持",
        "do": "建议",
        "nothing": "无节点（仅布局）",
        "outside": "（模型接口）",
        "sum": "{} 个节点：其中 {} 的节点、{} 的乘加以 int8 运行",
        "unsupported_count": "；{} 个不支持",
    },
}
