"""The rows of networks, each made in a process of its own: here, or on a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hexconv.cluster import Cluster, Done, Shard

Row = dict[str, Any]
ROOT = Path(__file__).parents[2]


def in_process(name: str, *, cache: Path, timeout: float) -> Row:
    """The row of one network, whatever happens to its process."""
    file = cache / "rows" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    place = str(cache.absolute())
    command = [sys.executable, "-m", "benchmarks.wild", "--cache", place, "--row", name]
    ended = ""
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=False, cwd=ROOT)
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip().splitlines()
            ended = f"exit code {done.returncode}: {text[-1] if text else ''}"
    except subprocess.TimeoutExpired:
        ended = f"stopped after {timeout:.0f} s"
    row = json.loads(file.read_text("utf-8")) if file.exists() else {"name": name}
    if ended:
        stage = row.get("stage", "start")
        row["errors"] = {**row.get("errors", {}), stage: ended}
        file.write_text(json.dumps(row, indent=1), encoding="utf-8")
    return row


def rows_here(names: Sequence[str], *, cache: Path, timeout: float, jobs: int) -> Iterator[Row]:
    """The row of each network in turn, `jobs` processes at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(partial(in_process, cache=cache, timeout=timeout), names)


def rows_on(address: str, names: Sequence[str], *, cache: Path, timeout: float) -> Iterator[Row]:
    """The row of each network as workers finish them; one that a worker cannot make has the reason.

    Each machine has a cache of its own, of that name; the rows are also kept in the one here.

    Args:
        address: of a cluster: see `hexconv.cluster.Cluster`.
        names: of the networks.
        cache: folder of what was downloaded.
        timeout: seconds for a network.

    Raises:
        HexconvError: there is no such cluster.
    """
    with Cluster(address) as cluster:
        samples = ({"network": np.asarray(name)} for name in names)
        for outcome in cluster.run(NetworkJob(cache, timeout), samples, largest=1):
            if isinstance(outcome, Done):
                row = outcome.result
            else:
                row = {"name": names[outcome.span.first], "errors": {"cluster": str(outcome)}}
            _keep(row, cache)
            yield row


def _keep(row: Row, cache: Path) -> None:
    file = cache / "rows" / f"{row['name']}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(row, indent=1), encoding="utf-8")


@dataclass(frozen=True)
class NetworkJob:
    """Makes the row of the network that a shard names.

    Args:
        cache: folder on the worker's machine, relative to the worker's.
        timeout: seconds for a network.
    """

    cache: Path
    timeout: float

    def open(self) -> Callable[[Shard], Row]:
        """Nothing to open."""

        def run(shard: Shard) -> Row:
            (sample,) = shard.samples
            return in_process(str(sample["network"]), cache=self.cache, timeout=self.timeout)

        return run
