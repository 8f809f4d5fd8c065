"""How far the DSP's output is from the float model's, and which layer causes it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hexconv.argument_types import checks_types
from hexconv.asked_model import source_of
from hexconv.calibrate import Doubts, count_samples, read_samples, scale_channels
from hexconv.compare.distributed import measure_on
from hexconv.compare.layers import Bench
from hexconv.compare.report import Report, make_report
from hexconv.compare.tally import Measured
from hexconv.compare.user_metrics import Metric, checked
from hexconv.errors import ConfigError, SampleWarning
from hexconv.names import listed
from hexconv.nnlib.versions import DEFAULT_LIBRARY, LibraryVersion
from hexconv.pipeline import prepared
from hexconv.settings import LAYER_SAMPLES, CommonSettings, Progress, Settings

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack

    from hexconv.calibrate.samples import SampleSource
    from hexconv.cluster import Cluster
    from hexconv.device import Library
    from hexconv.model import Model


@checks_types()
def verify(
    model: Model,
    float_source: str | Path | onnx.ModelProto,
    samples: SampleSource | None = None,
    *,
    held_out: SampleSource | None = None,
    library: LibraryVersion | None = None,
    device: Library | None = None,
    cluster: Cluster | None = None,
    metrics: Sequence[Metric] = (),
    layer_samples: int = LAYER_SAMPLES,
    **settings: Unpack[CommonSettings],
) -> Report:
    """Compare a quantized model with the float model that it comes from, layer by layer.

    The float side is the canonical form that was lowered, run in ONNX Runtime; tensors are matched
    by their ONNX names. Samples are streamed: memory does not grow with their number.

    Args:
        model: converted, or loaded from MACE's files.
        float_source: the ONNX model.
        samples: the calibration samples: a path or an iterable, as for `convert`.
        held_out: samples that calibration has not seen.
        library: which the simulator follows: "v60", "v65" or "v66" (the default); with `device`
            that library's version. A loaded model is taken to have been converted for it.
        device: measure the outputs of this emulated library; own errors are the simulator's.
        cluster: distribute the samples over its workers; the same figures, bit for bit. Samples
            that could not be run are listed in `incomplete`.
        metrics: functions of (outputs, samples), lists of {name: array} for each sample in order,
            that return one number; each is called with the float model's outputs and with the
            quantized model's. With metrics, inputs and outputs of all samples are in memory.
        layer_samples: of how many samples of each set, from the first on, every tensor is
            compared; of the others only the outputs are, which takes a third of the time.
        **settings: of the conversion, where they are not the default; `progress` is called with
            (set of samples, number done, number of samples or 0).

    Returns:
        The report: `outputs`, `layers` (worst own error first), `unmatched`.

    Raises:
        ConfigError: there are no samples at all, `library` is not the device's version, or a
            metric fails or returns no finite number.
        HexconvError: samples do not fit, a side cannot run, or returns NaN.
    """
    _check(samples, held_out, device, cluster, layer_samples)
    own = checked(metrics)
    followed = _followed(library, device)
    target = followed if model.conversion is None else model.conversion.library
    chosen = Settings.of({**settings, "library": target})
    shapes = {item.name: item.shape for item in model.graph.inputs}
    asked = source_of(float_source, shapes, chosen)
    reference, _ = prepared(asked.model, asked.shapes, chosen)
    if model.conversion is not None and model.conversion.scales_channels:
        scale_channels(reference, model.ranges)
    bench = Bench(
        model.graph,
        reference,
        followed,
        device,
        keeps=bool(own),
        layer_samples=layer_samples,
    )
    formats = model.graph.data_formats
    found: list[Measured | None] = []
    incomplete: list[str] = []
    for name, source in (("calibration", samples), ("held-out", held_out)):
        if source is None:
            found.append(None)
            continue
        total = 0 if chosen.progress is None else count_samples(source, reference)
        tick = _tick(chosen.progress, name, total)
        doubts = Doubts()
        stream = doubts.watch(read_samples(source, reference, formats))
        if cluster is None:
            found.append(bench.measure(stream, tick))
        else:
            tally, failed = measure_on(cluster, bench, stream, tick)
            found.append(tally.result())
            incomplete += [f"{name} {item}" for item in failed]
        if name == "held-out":  # of the others `convert` has warned
            _warn_of_silence(doubts)
    on = "simulate" if device is None else "device"
    sites = bench.sites
    return make_report(model.name, followed, on, sites, found[0], found[1], incomplete, own)


def _check(
    samples: object, held_out: object, device: object, cluster: object, layer_samples: int
) -> None:
    if layer_samples < 0:
        raise ConfigError(
            f"layer_samples is {layer_samples}", hint="give 0 or more; 0 compares the outputs alone"
        )
    if samples is None and held_out is None:
        raise ConfigError("there is nothing to compare on", hint="give samples, or held-out ones")
    if device is not None and cluster is not None:
        raise ConfigError(
            "the emulated library does not run on a cluster",
            hint="give either --on device or --cluster",
        )


def _warn_of_silence(doubts: Doubts) -> None:
    """Warn of held-out samples on which figures mean nothing.

    Warns:
        SampleWarning: naming the inputs.
    """
    if doubts.silent:
        warnings.warn(
            f"the held-out samples of {listed(doubts.silent)} are silent: figures measured on them "
            "tell nothing of real use",
            SampleWarning,
            stacklevel=4,  # who called `verify`, behind `checks_types`
        )


def _followed(library: LibraryVersion | None, device: Library | None) -> LibraryVersion:
    """The version that the simulator follows."""
    if device is None:
        return library or DEFAULT_LIBRARY
    device.expect(library)
    return device.version


def _tick(progress: Progress | None, name: str, total: int) -> Callable[[int], None] | None:
    return None if progress is None else (lambda done: progress(name, done, total))
