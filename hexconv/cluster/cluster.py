"""Worker processes, here or on other machines, as one thing that runs shards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar
from uuid import uuid4

from hexconv.cluster.shards import (
    MOST_SAMPLES,
    Done,
    Failed,
    Job,
    Sample,
    Shard,
    Span,
    shards,
)
from hexconv.distribution import version
from hexconv.errors import ClusterError, ConfigError, HexconvError, MissingExtra

R = TypeVar("R")

CONNECT_SECONDS = 10
START_SECONDS = 60
POLL_SECONDS = 2
PATIENCE_SECONDS = 60
"""How long all workers may be gone before that is an error: a dead one is replaced meanwhile."""
MOST_DEATHS = 1
"""How many workers may die of a shard before it is run no more."""
VERSIONS = ("hexconv", "numpy", "onnxruntime")
"""Packages that compute: other versions may compute other bits."""
FORMS = "tcp://HOST:PORT of a dask scheduler, or local:N for N processes on this machine"


class Cluster:
    """Worker processes that run shards; a context manager that ends those it has started.

    Args:
        address: tcp://HOST:PORT of a dask scheduler, or local:N for N processes on this machine.

    Raises:
        MissingExtra: dask.distributed is not installed.
        ConfigError: the address has another form, there is no scheduler, or it has no workers.
        ClusterError: a worker has other versions than this machine.
    """

    def __init__(self, address: str) -> None:
        local = _processes(address)
        try:
            import distributed
        except ImportError as error:
            raise MissingExtra("distributed", "cluster") from error
        self._started: Any = _start(local) if local else None
        try:
            target = self._started if local else address
            self._client = distributed.Client(target, timeout=CONNECT_SECONDS, set_as_default=False)
            self._client.wait_for_workers(max(local, 1), timeout=START_SECONDS if local else 5)
            self._check_versions()
        except (OSError, TimeoutError, ValueError) as error:
            self.close()
            raise _unreachable(address, error) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect, and end the processes that were started."""
        client, self._client = getattr(self, "_client", None), None
        if client is not None:
            client.close()
        if self._started is not None:
            self._started.close()
            self._started = None

    @property
    def workers(self) -> dict[str, Any]:
        """What the scheduler knows of each worker, by address."""
        found: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return found

    def _check_versions(self) -> None:
        """Compare the packages of every worker with those here."""
        expression = f"[__import__(name).__version__ for name in {VERSIONS}]"
        # A worker without hexconv could not even unpickle a function of it.
        found = self._client.run(eval, expression, on_error="return")
        here = eval(expression)
        for worker, versions in found.items():
            if versions != here:
                raise ClusterError(
                    f"worker {worker} has {_shown(versions)}",
                    why=f"here it is {_shown(here)}, and others may compute other bits",
                    hint="install the same versions on all machines",
                )

    def run(
        self,
        job: Job[R],
        samples: Iterable[Sample],
        progress: Callable[[int], None] | None = None,
        largest: int = MOST_SAMPLES,
    ) -> Iterator[Done[R] | Failed]:
        """Each shard's result, or why there is none, as they come: in any order.

        Samples are drawn as workers need them. Shards of a worker that dies are run again by
        another one.

        Args:
            job: that is done with each shard.
            samples: arrays by input name.
            progress: called with the number of samples done, after each shard.
            largest: samples of a shard.

        Raises:
            ClusterError: the scheduler or all workers are gone.
        """
        from hexconv.cluster.worker import JobPlugin

        plugin = JobPlugin(uuid4().hex, job)
        self._client.register_plugin(plugin)
        done = 0
        try:
            for outcome in self._outcomes(plugin.token, shards(samples, largest)):
                done += outcome.span.last - outcome.span.first + 1
                if progress is not None:
                    progress(done)
                yield outcome
        finally:
            if self._client.status == "running":
                self._client.unregister_worker_plugin(plugin.name)

    def _outcomes(self, token: str, stream: Iterator[Shard]) -> Iterator[Done[Any] | Failed]:
        pending: dict[Any, Shard] = {}
        suspects: list[Shard] = []
        try:
            while True:
                most = self._most_pending()
                while len(pending) < most and (shard := next(stream, None)) is not None:
                    pending[self._submit(token, shard)] = shard
                alone = not pending and bool(suspects)
                if alone:
                    # Each by itself: a shard is counted out for deaths of others on its worker.
                    shard = suspects.pop()
                    pending[self._submit(token, shard)] = shard
                if not pending:
                    return
                for future in self._finished(list(pending)):
                    shard = pending.pop(future)
                    outcome = self._fetched(future, shard.span)
                    if outcome is None or (not alone and _killed_workers(future)):
                        suspects.append(shard)
                    else:
                        yield outcome
        finally:
            self._client.cancel(list(pending))

    def _most_pending(self) -> int:
        """Shards to hand out: two a thread, and some while all workers are being replaced."""
        threads = sum(int(worker["nthreads"]) for worker in self.workers.values())
        return 2 * max(1, threads)

    def _submit(self, token: str, shard: Shard) -> Any:
        from hexconv.cluster.worker import run_shard

        return self._client.submit(run_shard, version(), token, shard, pure=False)

    def _fetched(self, future: Any, span: Span) -> Done[Any] | Failed | None:
        """The outcome of a shard that has ended; None where it is lost with its worker.

        Dask computes it once more then, but may miss how that ends: it would wait forever.
        """
        import distributed

        while True:
            try:
                return Done(span, future.result(timeout=POLL_SECONDS))
            except distributed.CancelledError as error:
                raise _scheduler_gone(error) from error
            except HexconvError as error:
                return Failed(span, error)
            except Exception as error:
                if future.status == "pending":
                    self._client.cancel([future])
                    return None
                if future.status == "error" or not isinstance(error, TimeoutError):
                    return Failed(span, ClusterError(f"{type(error).__name__}: {error}"))

    def _finished(self, futures: list[Any]) -> list[Any]:
        """Wait until some of them are finished."""
        import distributed

        waited = 0
        while True:
            try:
                with self._client.as_current():
                    distributed.wait(futures, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
            except TimeoutError:
                waited = 0 if self.workers else waited + POLL_SECONDS
                if waited >= PATIENCE_SECONDS:
                    raise ClusterError(
                        "there are no workers left", hint="start workers, and run this again"
                    ) from None
            except (distributed.CancelledError, OSError) as error:
                raise _scheduler_gone(error) from error
            finished = [future for future in futures if future.done()]
            if finished:
                return finished


def _killed_workers(future: Any) -> bool:
    from distributed import KilledWorker

    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def _scheduler_gone(error: BaseException) -> ClusterError:
    return ClusterError("the scheduler is gone", why=str(error))


def _processes(address: str) -> int:
    """N of local:N; 0 for the address of a scheduler."""
    kind, _, rest = address.partition(":")
    if kind == "local" and rest.isdecimal() and int(rest) > 0:
        return int(rest)
    if "://" in address and kind != "local":
        return 0
    raise ConfigError(f"'{address}' is not the address of a cluster", hint=f"give {FORMS}")


def _start(processes: int) -> Any:
    """Worker processes here, each of one thread; one that dies is replaced."""
    import dask
    import distributed

    dask.config.set(
        {
            "distributed.admin.large-graph-warning-threshold": "1GB",
            "distributed.scheduler.allowed-failures": MOST_DEATHS,
        }
    )
    return distributed.LocalCluster(
        n_workers=processes,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=None,
        silence_logs=logging.CRITICAL,
    )


def _unreachable(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"there is no cluster at {address}",
        why=str(error).split("\n")[0] or type(error).__name__,
        hint="start `dask scheduler` there, and `dask worker tcp://HOST:8786` on each machine",
    )


def _shown(versions: Any) -> str:
    if isinstance(versions, BaseException):
        return f"no hexconv ({versions})"
    return ", ".join(f"{name} {version}" for name, version in zip(VERSIONS, versions, strict=True))
