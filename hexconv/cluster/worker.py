"""What runs in a worker process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from distributed import Worker, WorkerPlugin

from hexconv.cluster.shards import Job, Shard
from hexconv.distribution import version
from hexconv.errors import ClusterError
from hexconv.threads import alone

_jobs: dict[str, Job[Any]] = {}
_this_thread = threading.local()


class JobPlugin(WorkerPlugin):  # type: ignore[misc]
    """Brings a job to every worker, and to those that replace one.

    Args:
        token: that shards name it by.
        job: the job.
    """

    def __init__(self, token: str, job: Job[Any]) -> None:
        self.name, self.token, self.job = f"hexconv-{token}", token, job

    def setup(self, worker: Worker) -> None:
        """Called in each worker."""
        _jobs[self.token] = self.job

    def teardown(self, worker: Worker) -> None:
        """Called when the job is done."""
        _jobs.pop(self.token, None)


def run_shard(wanted: str, token: str, shard: Shard) -> Any:
    """A shard's result, on one thread.

    Raises:
        ClusterError: this worker has another hexconv.
        HexconvError: what the job raises.
    """
    if version() != wanted:
        raise ClusterError(
            f"a worker has hexconv {version()}, not {wanted}",
            hint="install the same version on all machines",
        )
    with alone():
        return _opened(token)(shard)


def _opened(token: str) -> Callable[[Shard], Any]:
    """The job, opened; only the last one is kept."""
    last: tuple[str, Callable[[Shard], Any]] | None = getattr(_this_thread, "job", None)
    if last is None or last[0] != token:
        _this_thread.job = None
        last = _this_thread.job = (token, _jobs[token].open())
    return last[1]
