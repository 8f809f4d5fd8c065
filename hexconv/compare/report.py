"""The result of `verify`: rows for outputs and tensors, worst first, as text or plain data."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hexconv.compare.advice import NEGLIGIBLE, AdviceCase, advise
from hexconv.compare.metrics import EXACT, Metrics, below
from hexconv.compare.sites import Sites
from hexconv.compare.sums import ATOL, RTOL
from hexconv.compare.tally import Figures, Measured, PartFigures
from hexconv.compare.user_metrics import (
    Metric,
    MetricRow,
    metric_failures,
    metric_row,
    metric_thresholds,
)
from hexconv.errors import ConfigError
from hexconv.names import counted
from hexconv.nnlib.versions import LibraryVersion
from hexconv.notebook import html_table

SETS = ("calibration", "held_out")


@dataclass(frozen=True)
class OutputPartRow:
    """One tensor that is joined with others into an output, on either set of samples."""

    tensor: str
    calibration: PartFigures | None
    held_out: PartFigures | None

    def as_dict(self) -> dict[str, Any]:
        """The figures of the worse set: plain data, for JSON."""
        found = [item for item in (self.calibration, self.held_out) if item is not None]
        worse = min(found, key=lambda item: item.metrics.sqnr)
        sqnr, values = worse.metrics.sqnr, worse.values
        return {"tensor": self.tensor, "sqnr": sqnr, "allowed": None, "values": values}


@dataclass(frozen=True)
class OutputRow:
    """One output of the model, on either set of samples.

    Attributes:
        parts: of an output that a Concat makes.
    """

    name: str
    calibration: Metrics | None
    held_out: Metrics | None
    parts: tuple[OutputPartRow, ...] = ()

    def sets(self) -> Iterator[tuple[str, Metrics]]:
        """The sets that are present."""
        for name in SETS:
            metrics = getattr(self, name)
            if metrics is not None:
                yield name, metrics


@dataclass(frozen=True)
class LayerRow:
    """One tensor that both sides have.

    Attributes:
        tensor: its ONNX name.
        name, op: of the node of the nnlib graph.
        runs_as: the op that is executed instead.
        onnx_node: what it was lowered from.
        calibration, held_out: its figures on either set of samples.
        advice: what to try next, where the row is bad.
        position: in the order of execution.
    """

    tensor: str
    name: str
    op: str
    runs_as: str
    onnx_node: str
    calibration: Figures | None
    held_out: Figures | None
    advice: tuple[str, ...]
    position: int

    @property
    def worst(self) -> Figures:
        """The figures of the set with the larger own error."""
        return worst(self.calibration, self.held_out)


@dataclass(frozen=True, repr=False)
class Report:
    """A model against its float source.

    Attributes:
        model: its name.
        library: what was simulated: "v60", "v65" or "v66".
        on: which outputs were measured: "simulate" or "device".
        outputs: in the model's order.
        layers: tensors that both sides have, worst own error first.
        unmatched: tensors of the graph that the float model does not have under their name.
        incomplete: samples that a cluster could not run, each with the reason; not in the figures.
        metrics: the user's own, in the order given.
    """

    model: str
    library: LibraryVersion
    on: str
    outputs: tuple[OutputRow, ...]
    layers: tuple[LayerRow, ...]
    unmatched: tuple[str, ...]
    incomplete: tuple[str, ...] = ()
    metrics: tuple[MetricRow, ...] = ()

    def __repr__(self) -> str:
        worst = min((m.sqnr for row in self.outputs for _, m in row.sets()), default=float("nan"))
        return (
            f"<hexconv.compare.Report of {self.model} on {self.library}: "
            f"{counted(len(self.outputs), 'output')}, worst SQNR {worst:.1f} dB, "
            f"{counted(len(self.layers), 'tensor')} compared>"
        )

    def _repr_html_(self) -> str:
        heads = ("output", "samples", "SQNR dB", "max abs error", "peak")
        rows = [
            (
                row.name,
                name.replace("_", "-"),
                metrics.sqnr,
                f"{metrics.max_error:.3g}",
                f"{metrics.peak:.3g}",
            )
            for row in self.outputs
            for name, metrics in row.sets()
        ]
        return html_table(repr(self).strip("<>"), heads, rows)

    def failures(
        self, floors: Mapping[str, float], ceilings: Mapping[str, float] | None = None
    ) -> list[str]:
        """Outputs and metrics that do not reach a threshold, as text; on every set of samples.

        Args:
            floors: minimum values of "sqnr" (dB), "cosine", "close" or "top1" of outputs, of the
                quantized model's metrics by name, or of each with the name "metric".
            ceilings: maximum values of metrics, in the same way.

        Raises:
            ConfigError: a minimum for top1 is given and no output contains class scores; or there
                is no metric of a name.
        """
        tops = [metrics.top1 for row in self.outputs for _, metrics in row.sets()]
        if "top1" in floors and all(top is None for top in tops):
            raise ConfigError(
                "a minimum for top1 is given, but no output contains class scores",
                why="only outputs of Softmax, LogSoftmax, Gemm or MatMul count as class scores",
                hint="use sqnr, cosine or close",
            )
        return [
            f"output '{row.name}' on {name.replace('_', '-')} samples: {text}"
            for row in self.outputs
            for name, metrics in row.sets()
            for text in below(metrics, floors)
        ] + metric_failures(self.metrics, floors, ceilings or {})

    def thresholds(
        self, floors: Mapping[str, float], ceilings: Mapping[str, float] | None = None
    ) -> list[dict[str, Any]]:
        """Each figure of each output beside its threshold, as plain data; see `failures`."""
        return [
            {
                "figure": figure,
                "of": f"{row.name} ({name.replace('_', '-')})",
                "value": value,
                "limit": floor,
                "ok": value >= floor,
            }
            for row in self.outputs
            for name, metrics in row.sets()
            for figure, floor in floors.items()
            if (value := getattr(metrics, figure, None)) is not None
        ] + metric_thresholds(self.metrics, floors, ceilings or {})

    def as_dict(self) -> dict[str, Any]:
        """The section `accuracy` of a report: plain data, for JSON."""
        return accuracy_section(
            self.on,
            self.library,
            [
                {
                    **asdict(row),
                    "random": None,
                    "allowed": None,
                    "parts": [part.as_dict() for part in row.parts],
                }
                for row in self.outputs
            ],
            [asdict(row) for row in self.layers],
            unmatched=list(self.unmatched),
            incomplete=list(self.incomplete),
            metrics=[asdict(row) for row in self.metrics],
        )

    def csv(self) -> str:
        """One row per tensor and set of samples; outputs first, without own figures."""
        names = list(Metrics.__dataclass_fields__)
        heads = ["kind", "tensor", "op", "samples_of"]
        heads += [f"accumulated_{n}" for n in names] + [f"own_{n}" for n in names]
        heads += ["range_min", "range_max", "best_sqnr", "clipped", "codes_used", "advice"]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(heads)
        for row in self.outputs:
            for name, metrics in row.sets():
                cells = _cells(metrics) + [""] * (len(names) + 6)
                writer.writerow(["output", row.name, "", name, *cells])
        for layer in self.layers:
            for name in SETS:
                figures: Figures | None = getattr(layer, name)
                if figures is None:
                    continue
                fit = figures.fit
                held = (
                    [""] * 5
                    if fit is None
                    else [repr(v) for v in (fit.low, fit.high, fit.best, fit.clipped, fit.used)]
                )
                cells = _cells(figures.accumulated) + _cells(figures.own)
                start = ["layer", layer.tensor, layer.op, name]
                writer.writerow([*start, *cells, *held, "; ".join(layer.advice)])
        return text.getvalue()


def _cells(metrics: Metrics | None) -> list[str]:
    if metrics is None:
        return [""] * len(Metrics.__dataclass_fields__)
    return ["" if value is None else repr(value) for value in metrics.as_dict().values()]


def accuracy_section(
    on: str,
    library: LibraryVersion,
    outputs: Sequence[Mapping[str, Any]],
    layers: Sequence[Mapping[str, Any]] = (),
    **lists: list[Any],
) -> dict[str, Any]:
    """The section `accuracy` of a report, of whatever was measured."""
    return {
        "on": on,
        "library": library,
        "close": {"rtol": RTOL, "atol": ATOL},
        "exact_sqnr": EXACT,
        "outputs": list(outputs),
        "layers": list(layers),
        "unmatched": lists.get("unmatched", []),
        "incomplete": lists.get("incomplete", []),
        "metrics": lists.get("metrics", []),
    }


def worst(*candidates: Figures | None) -> Figures:
    """The one with the largest own error."""
    there = [figures for figures in candidates if figures is not None]
    return min(there, key=lambda figures: figures.own.sqnr)


def make_report(
    model: str,
    library: LibraryVersion,
    on: str,
    sites: Sites,
    calibration: Measured | None,
    held_out: Measured | None,
    incomplete: Sequence[str] = (),
    metrics: Sequence[Metric] = (),
) -> Report:
    """Rows from the measurements, sorted, with advice."""
    sets = [calibration, held_out]
    outputs = {name: None for found in sets if found is not None for name in found.outputs}
    cases = _cases(sites, library, sets)
    cases.sort(key=lambda case: (case.negligible, case.figures.own.sqnr))
    order = {site.tensor: number for number, site in enumerate(sites.all)}
    rows = tuple(
        LayerRow(
            case.site.tensor,
            case.site.name,
            case.site.op,
            case.site.runs_as,
            case.site.onnx_node,
            case.calibration,
            case.held_out,
            advise(case),
            order[case.site.tensor],
        )
        for case in cases
    )
    results = tuple(
        OutputRow(
            name,
            None if calibration is None else calibration.outputs.get(name),
            None if held_out is None else held_out.outputs.get(name),
            _parts(name, sets),
        )
        for name in outputs
    )
    kept = [None if found is None else found.kept for found in sets]
    own = tuple(metric_row(metric, *kept) for metric in metrics)
    return Report(model, library, on, results, rows, sites.unmatched, tuple(incomplete), own)


def _parts(name: str, sets: Sequence[Measured | None]) -> tuple[OutputPartRow, ...]:
    """The parts of an output, in their order; each set has the same ones, or none."""
    one, other = (() if found is None else found.parts.get(name, ()) for found in sets)
    return tuple(
        OutputPartRow(
            (one or other)[place].tensor,
            one[place] if one else None,
            other[place] if other else None,
        )
        for place in range(len(one or other))
    )


def _cases(
    sites: Sites, library: LibraryVersion, sets: Sequence[Measured | None]
) -> list[AdviceCase]:
    figures = {
        site.tensor: [None if found is None else found.tensors.get(site.tensor) for found in sets]
        for site in sites.all
    }
    measured = {name: worst(*pair) for name, pair in figures.items() if any(pair)}
    shares = {name: _share(name, sites, measured) for name in measured}
    telling = {name: item for name, item in measured.items() if shares[name] > NEGLIGIBLE}
    culprits = _culprits(sites, telling)
    return [
        AdviceCase(
            site=site,
            figures=measured[site.tensor],
            calibration=figures[site.tensor][0],
            held_out=figures[site.tensor][1],
            weights=sites.weights.get(site.tensor),
            library=library,
            culprit=culprits.get(site.tensor),
            coarse=_coarsest(sites.before.get(site.tensor, ()), telling),
            share=shares[site.tensor],
        )
        for site in sites.all
        if site.tensor in measured
    ]


def _share(name: str, sites: Sites, measured: Mapping[str, Figures]) -> float:
    """Peak relative to the largest peak of a tensor's operands; 1 where nothing is known."""
    peaks = [measured[n].own.peak for n in sites.before.get(name, ()) if n in measured]
    largest = max(peaks, default=0.0)
    return measured[name].own.peak / largest if largest > 0 else 1.0


def _coarsest(names: Sequence[str], measured: Mapping[str, Figures]) -> tuple[str, float] | None:
    fits = [(name, measured[name].fit) for name in names if name in measured]
    best = [(name, fit.best) for name, fit in fits if fit is not None]
    return min(best, key=lambda pair: pair[1], default=None)


def _culprits(sites: Sites, measured: Mapping[str, Figures]) -> dict[str, tuple[str, float]]:
    """For each tensor, the one with the largest own error among all before it, at any distance."""
    found: dict[str, tuple[str, float]] = {}
    for site in sites.all:
        candidates: list[tuple[str, float]] = []
        for name in sites.before.get(site.tensor, ()):
            if name in measured:
                candidates.append((name, measured[name].own.sqnr))
            if name in found:
                candidates.append(found[name])
        if candidates:
            found[site.tensor] = min(candidates, key=lambda pair: pair[1])
    return found
