"""Stands in for mace_run on the phone: our model of MACE's engine behind its flags."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def plain(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name)


def die(text: str, code: int = signal.SIGABRT) -> None:
    """MACE's last words go to the phone's log: what is printed is lost."""
    with Path(os.environ["PHONE"], "logcat.txt").open("a") as log:
        log.write(f"11-22 16:31:07.125  9321  9321 F MACE    : {text}\n")
    os.kill(os.getpid(), code)


def main(arguments: list[str]) -> None:
    behaviour = Path(os.environ["PHONE"], "behaviour").read_text().split(":", 1)
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    for library in ("libc++_shared.so", "libhexagon_controller.so"):
        assert Path(os.environ["LD_LIBRARY_PATH"], library).is_file()
    assert Path(os.environ["ADSP_LIBRARY_PATH"], "libhexagon_nn_skel.so").is_file()
    if behaviour[0] == "abort":
        die(behaviour[1])
    if behaviour[0] == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if behaviour[0] == "exit":
        print(behaviour[1])
        sys.exit(1)
    if behaviour[0] == "hang":
        print("I MACE: Warm up run", flush=True)
        time.sleep(3600)
    print("I hexagon_dsp_runtime.cc:45] Hexagon DSP version: 0x21a01")
    run(flags, behaviour[0])


def run(flags: dict[str, str], behaviour: str) -> None:
    from tests.mace.engine import Engine

    library = Path(os.environ["ADSP_LIBRARY_PATH"], "libhexagon_nn_skel.so").read_text()
    engine = Engine(Path(flags["model_file"]), library)
    assert Path(flags["model_data_file"]).is_file()
    told = {}
    for side in ("input", "output"):
        names = flags[f"{side}_node"].split(",")
        shapes = [tuple(map(int, s.split(","))) for s in flags[f"{side}_shape"].split(":")]
        formats = flags[f"{side}_data_format"].split(",")
        types = flags[f"{side}_data_type"].split(",")
        assert types == ["float32"] * len(names)
        told[side] = dict(zip(names, zip(shapes, formats, strict=True), strict=True))
    assert set(told["output"]) == {item.name for item in engine.graph.outputs}, "Wrong outputs num"
    if "input_dir" in flags:
        first = plain(next(iter(told["input"])))
        for path in sorted(Path(flags["input_dir"]).iterdir()):
            if path.name.startswith(first):
                suffix = path.name.removeprefix(first)
                files = {n: Path(flags["input_dir"], plain(n) + suffix) for n in told["input"]}
                out = {n: Path(flags["output_dir"], plain(n) + suffix) for n in told["output"]}
                once(engine, told, files, out, 1, behaviour)
    else:
        assert "input_file" in flags
        files = {n: Path(f"{flags['input_file']}_{plain(n)}") for n in told["input"]}
        out = {n: Path(f"{flags['output_file']}_{plain(n)}") for n in told["output"]}
        once(engine, told, files, out, 1 + int(flags["round"]), behaviour)
    if os.environ.get("MACE_CPP_MIN_VLOG_LEVEL") == "1":
        table(engine, behaviour)


def once(engine, told, files, out, executions, behaviour) -> None:  # type: ignore[no-untyped-def]
    import numpy as np

    from tests.mace.engine import Tensor

    tensors = {
        name: Tensor(shape, form, np.fromfile(files[name], "<f4"))
        for name, (shape, form) in told["input"].items()
    }
    asked = {
        name: Tensor(shape, form, np.zeros(0, np.float32))
        for name, (shape, form) in told["output"].items()
    }
    for _ in range(executions):
        results = engine.run(tensors, asked)
    for name, values in results.items():
        if behaviour == "differ":
            values[3] += np.float32(0.25)
        if behaviour == "short":
            values = values[:-1]
        values.astype("<f4").tofile(out[name])


def table(engine: Any, behaviour: str) -> None:
    from hexconv.cost import predict
    from hexconv.cost.mace_tables import mace_id, tables
    from hexconv.nnlib.ops import catalogue

    known = catalogue()
    nodes = [
        (mace_id(n.id), n.op, known[n.op].id or 0 if n.op in known else 0, 0.5)
        for n in predict(engine.graph).nodes
    ]
    text = tables(nodes)
    if behaviour == "logcat":
        with Path(os.environ["PHONE"], "logcat.txt").open("a") as log:
            log.writelines(
                f"11-22 16:31:07.125 9 9 I MACE    : {line}\n" for line in text.split("\n")
            )
    else:
        print(f"I hexagon_dsp_wrapper.cc:500] {text}")


if __name__ == "__main__":
    main(sys.argv[1:])
