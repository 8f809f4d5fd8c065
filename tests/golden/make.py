"""Pick a compact set of golden cases for the tests: small ones that differ from each other.

    python tests/golden/make.py /path/to/golden OP [OP ...] [--most 6]

Reads the golden folders below the path; writes `<Op>.npz` (arrays by `NNN/inI`, `NNN/outI`) and
`<Op>.json` (the cases as in the manifest, keys renumbered, each with its `library`) beside this.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
KEPT = ("case", "op", "padding", "inputs", "out_defs", "outputs", "post", "note")


def found(root: Path, op: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every recorded case of an op, with its arrays by the manifest's keys."""
    cases = []
    for manifest in sorted(root.glob("*/manifest.json")):
        listed = [case for case in json.loads(manifest.read_text())["cases"] if case["op"] == op]
        if not listed:
            continue
        with np.load(manifest.parent / f"{op}.npz") as data:
            for case in listed:
                keys = [part["key"] for part in case["inputs"] + case["outputs"]]
                source = f"{manifest.parent.name}/{case['case']}"
                library = case.get("library", "v60")
                named = {**case, "case": source, "library": library}
                cases.append((named, {key: data[key] for key in keys}))
    return cases


def kind(case: dict[str, Any], arrays: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a case unlike another: form, library, padding, sizes, infinite ranges."""
    values = [arrays[part["key"]] for part in case["inputs"]]
    infinite = any(v.dtype == np.float32 and not np.isfinite(v).all() for v in values)
    small = tuple(v.shape for v in values[1:] if v.dtype != np.float32)
    return (case["library"], tuple(case["post"]), case["padding"], len(values), infinite, small)


def chosen(cases: list[Any], most: int) -> list[Any]:
    """The smallest cases, those of a new kind first."""
    by_size = sorted(cases, key=lambda pair: sum(a.nbytes for a in pair[1].values()))
    seen: set[tuple[Any, ...]] = set()
    fresh, rest = [], []
    for pair in by_size:
        form = kind(*pair)[:-1]
        (rest if form in seen else fresh).append(pair)
        seen.add(form)
    return sorted((fresh + rest)[:most], key=lambda pair: str(pair[0]["case"]))


def write(op: str, cases: list[Any]) -> None:
    """`<Op>.npz` and `<Op>.json`."""
    arrays: dict[str, Any] = {}
    listed = []
    for number, (case, data) in enumerate(cases):
        entry = {key: case[key] for key in KEPT if key in case}
        for side, letter in (("inputs", "in"), ("outputs", "out")):
            entry[side] = [
                {**part, "key": f"{number:03}/{letter}{index}"}
                for index, part in enumerate(case[side])
            ]
            for old, new in zip(case[side], entry[side], strict=True):
                arrays[new["key"]] = data[old["key"]]
        listed.append({**entry, "library": case["library"]})
    np.savez_compressed(HERE / f"{op}.npz", **arrays)
    (HERE / f"{op}.json").write_text(json.dumps(listed, indent=1) + "\n")


def main() -> None:
    """Parse the command line and write every op."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("golden", type=Path)
    parser.add_argument("ops", nargs="+")
    parser.add_argument("--most", type=int, default=6)
    options = parser.parse_args()
    for op in options.ops:
        write(op, chosen(found(options.golden, op), options.most))


if __name__ == "__main__":
    main()
