"""Calibration: the range of every tensor of a float graph over sample inputs."""

import hexconv.onnx_ir_without_sympy  # noqa: F401  (before anything imports onnx-ir)
from hexconv.calibrate.by_ranges import rewrite_by_ranges, rewritten_copy, scale_channels
from hexconv.calibrate.channel_entries import is_channel
from hexconv.calibrate.count import count_samples
from hexconv.calibrate.doubtful import Doubts
from hexconv.calibrate.extrema import bound_constants
from hexconv.calibrate.images import Images
from hexconv.calibrate.joined import joined_warnings
from hexconv.calibrate.large_channels import large_channels
from hexconv.calibrate.observe import measure, observe
from hexconv.calibrate.other_levels import with_values_of
from hexconv.calibrate.positions import cover_positions
from hexconv.calibrate.range_file import format_ranges, read_ranges, write_ranges
from hexconv.calibrate.sample_set import SampleDigest, SampleSet
from hexconv.calibrate.samples import SampleSource, read_samples
from hexconv.calibrate.spread import Spread
from hexconv.calibrate.statistics import Ranges, Statistics
from hexconv.calibrate.statistics_file import read_statistics, write_statistics
from hexconv.calibrate.synthetic import synthetic_samples

__all__ = [
    "Doubts",
    "Images",
    "Ranges",
    "SampleDigest",
    "SampleSet",
    "SampleSource",
    "Spread",
    "Statistics",
    "bound_constants",
    "count_samples",
    "cover_positions",
    "format_ranges",
    "is_channel",
    "joined_warnings",
    "large_channels",
    "measure",
    "observe",
    "read_ranges",
    "read_samples",
    "read_statistics",
    "rewrite_by_ranges",
    "rewritten_copy",
    "scale_channels",
    "synthetic_samples",
    "with_values_of",
    "write_ranges",
    "write_statistics",
]
