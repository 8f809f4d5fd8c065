"""Calibration: the range of every tensor of a float graph over sample inputs."""

import hexconv.onnx_ir_without_sympy  # noqa: F401  (before anything imports onnx-ir)
from hexconv.calibrate.extrema import bound_constants
from hexconv.calibrate.masks import bounded_masks
from hexconv.calibrate.observe import check_percentile, measure, observe
from hexconv.calibrate.range_file import format_ranges, read_ranges, write_ranges
from hexconv.calibrate.samples import SampleSource, read_samples
from hexconv.calibrate.statistics import Ranges, Statistics
from hexconv.calibrate.statistics_file import read_statistics, write_statistics
from hexconv.calibrate.synthetic import synthetic_samples

__all__ = [
    "Ranges",
    "SampleSource",
    "Statistics",
    "bound_constants",
    "bounded_masks",
    "check_percentile",
    "format_ranges",
    "measure",
    "observe",
    "read_ranges",
    "read_samples",
    "read_statistics",
    "synthetic_samples",
    "write_ranges",
    "write_statistics",
]
