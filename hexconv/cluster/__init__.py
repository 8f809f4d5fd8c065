"""Samples distributed over worker processes and machines, by dask.distributed (extra `cluster`)."""

from hexconv.cluster.cluster import Cluster
from hexconv.cluster.shards import Done, Failed, Job, Shard, Span, require_complete, shards

__all__ = ["Cluster", "Done", "Failed", "Job", "Shard", "Span", "require_complete", "shards"]
