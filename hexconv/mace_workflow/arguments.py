"""Arguments that MACE's run_model.py needs and does not add itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hexconv.mace.deployment_rules import as_list
from hexconv.mace.yaml_file import read_yaml
from hexconv.paths import is_file


def completed(script: Path, arguments: Sequence[str]) -> list[str]:
    """The arguments of a script of MACE, with the data types that mace_run needs.

    run_model.py passes its unknown arguments on to mace_run, which crashes on several inputs or
    outputs unless each has a type; more types than tensors do no harm.
    """
    given = list(arguments)
    if script.name != "run_model.py":
        return given
    count = max(_tensor_counts(given), default=0)
    for side in ("input", "output"):
        flag = f"--{side}_data_type"
        if count > 1 and not any(argument.startswith(flag) for argument in given):
            given.append(f"{flag}={','.join(['float32'] * count)}")
    return given


def _tensor_counts(arguments: Sequence[str]) -> Iterator[int]:
    """How many inputs and outputs each model of the script's YAML has, where it can be read."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config", default="")
    config = Path(parser.parse_known_args(arguments)[0].config)
    if not is_file(config):
        return
    document: Any = read_yaml(config, "deployment file").data
    models = document.get("models") if isinstance(document, dict) else None
    for entry in models.values() if isinstance(models, dict) else ():
        graphs = entry.get("subgraphs") if isinstance(entry, dict) else None
        for graph in graphs.values() if isinstance(graphs, dict) else as_list(graphs):
            for side in ("input", "output"):
                if isinstance(graph, dict):
                    yield len(as_list(graph.get(f"{side}_tensors")))
