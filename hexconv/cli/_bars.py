"""A bar chart of what each node type costs, with matplotlib (extra `report`)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from hexconv.errors import ConfigError, MissingExtra
from hexconv.files import write_files

MOST = 20


def bars(path: Path, sums: Sequence[tuple[str, float]], unit: str, title: str) -> None:
    """Draw the most expensive types, the rest as one bar.

    Args:
        path: output file, ending in .svg or .png.
        sums: (node type, cost), most expensive first.
        unit: of the costs.
        title: above the chart.

    Raises:
        ConfigError: the file's extension is neither.
        MissingExtra: matplotlib is not installed.
        FileError: the file cannot be written.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("svg", "png"):
        raise ConfigError(f"a chart cannot be written as '{path.name}'", hint="use .svg or .png")
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("matplotlib", "report") from error
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(sums[:MOST])
    rest = sum(value for _, value in sums[MOST:])
    if rest:
        shown.append((f"{len(sums) - MOST} others", rest))
    with matplotlib.rc_context({"svg.hashsalt": "hexconv", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 1.2 + 0.3 * len(shown)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        names, values = [name for name, _ in shown], [value for _, value in shown]
        drawn = axes.barh(range(len(names)), values, color="#3b6ea5")
        axes.set_yticks(range(len(names)), names, parse_math=False)  # a $ is a character
        axes.bar_label(drawn, fmt="{:,.4g}", padding=3, fontsize=8)
        axes.invert_yaxis()
        axes.set_title(title, parse_math=False)
        axes.set_xlabel(f"{unit} each run")
        axes.margins(x=0.12)
        buffer = BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": "hexconv"}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # a font has not every letter of a name
            figure.savefig(buffer, format=kind, metadata=metadata)
    write_files({path: buffer.getvalue()})
