"""What has to be pushed to a phone, and the command that runs a model there; nothing is run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hexconv.errors import ConfigError
from hexconv.mace.deployment import input_sizes, output_sizes
from hexconv.mace.interface_rules import commas
from hexconv.nnlib.graph import Graph
from hexconv.nnlib.versions import LibraryVersion
from hexconv.raw_tensors import file_name, plain_name

FOLDER = PurePosixPath("/data/local/tmp/hexconv")
"""Where everything is put: every user of adb may write and execute there."""

SKEL, CONTROLLER, STL = "libhexagon_nn_skel.so", "libhexagon_controller.so", "libc++_shared.so"
MACE_RUN = "mace_run"
VARIABLE = "$MACE"
"""What a plan calls the folder of MACE's sources where the user did not say it."""

ABIS = ("arm64-v8a", "armeabi-v7a")
INPUTS, OUTPUTS = "in", "out"
PID = "mace_run.pid"


@dataclass(frozen=True)
class Build:
    """MACE as the user built it.

    Attributes:
        mace: its source folder, in which it was built; None where that is not known.
        mace_run: in place of the one in `mace`.
        library: libhexagon_nn_skel.so in place of the one in `mace`.
        abi: that mace_run was built for.
        cpu_ops: whether it has MACE's CPU ops. Without them mace_run cannot measure the CPU, and
            runs inputs of a folder only.
    """

    mace: Path | None = None
    mace_run: Path | None = None
    library: Path | None = None
    abi: str = ABIS[0]
    cpu_ops: bool = True

    def files(self, version: LibraryVersion) -> dict[str, Path]:
        """What a phone needs beside the model, by its name there."""
        root = self.mace if self.mace is not None else Path(VARIABLE)
        install = root / "build" / "cmake-build" / self.abi / "install"
        nnlib = root / "third_party" / "nnlib"
        run = self.mace_run if self.mace_run is not None else install / "bin" / MACE_RUN
        beside = run.parent / STL
        lib = run.parent.parent / "lib" / STL
        return {
            MACE_RUN: run,
            STL: beside if beside.exists() else lib,
            CONTROLLER: self._nearby(run, nnlib / self.abi / CONTROLLER),
            SKEL: self.library or self._nearby(run, nnlib / version / SKEL),
        }

    def _nearby(self, run: Path, usual: Path) -> Path:
        """A library of MACE's sources; of a mace_run alone, the one beside it."""
        beside = run.parent / usual.name
        return beside if self.mace is None and self.mace_run is not None else usual


@dataclass(frozen=True)
class Plan:
    """How a model runs on a phone.

    Attributes:
        model: MODEL.pb; its .data is beside it.
        graph: of the model.
        library: of the phone.
        build: MACE.
        folder: on the phone.
        extra: more files to push, such as a test signature.
    """

    model: Path
    graph: Graph
    library: LibraryVersion
    build: Build
    folder: PurePosixPath
    extra: Sequence[Path] = field(default=())

    @property
    def files(self) -> dict[str, Path]:
        """What is pushed, by the name on the phone: libraries, mace_run, the model."""
        data = self.model.with_suffix(".data")
        named = {path.name: path for path in (self.model, data, *self.extra)}
        return {**self.build.files(self.library), **named}

    @property
    def input_files(self) -> dict[str, str]:
        """The raw file of each input, by input, below the folder."""
        return {item.name: file_name(INPUTS, item.name) for item in self.graph.inputs}

    @property
    def output_files(self) -> dict[str, str]:
        """The raw file of each output, by output, below the folder."""
        names = [item.name for item in self.graph.outputs]
        if self.build.cpu_ops:
            return {name: file_name(OUTPUTS, name) for name in names}
        return {name: f"{OUTPUTS}/{plain_name(name)}" for name in names}

    def environment(self, *, profiled: bool) -> dict[str, str]:
        """Variables of mace_run: where libraries are, and that the DSP's table is printed."""
        found = {"LD_LIBRARY_PATH": str(self.folder), "ADSP_LIBRARY_PATH": str(self.folder)}
        return {**found, "MACE_CPP_MIN_VLOG_LEVEL": "1"} if profiled else found

    def arguments(self, rounds: int, *, profiled: bool = False) -> list[str]:
        """mace_run and its flags; all outputs are asked for, as MACE's runtime wants."""
        inputs, outputs = self.graph.inputs, self.graph.outputs
        if not self.build.cpu_ops:
            # It takes the files whose names begin with the first input's: no other's may.
            inputs = sorted(inputs, key=lambda item: -len(plain_name(item.name)))
        flags = {
            "model_name": self.graph.name,
            "model_file": self.model.name,
            "model_data_file": self.model.with_suffix(".data").name,
            "input_node": ",".join(item.name for item in inputs),
            "input_shape": ":".join(commas(input_sizes(item)) for item in inputs),
            "input_data_type": ",".join("float32" for _ in inputs),
            "input_data_format": ",".join(item.data_format for item in inputs),
            "output_node": ",".join(item.name for item in outputs),
            "output_shape": ":".join(commas(output_sizes(item)) for item in outputs),
            "output_data_type": ",".join("float32" for _ in outputs),
            "output_data_format": ",".join(item.data_format for item in outputs),
        }
        flags["input_file"] = INPUTS
        if self.build.cpu_ops:
            flags |= {"output_file": OUTPUTS, "round": str(rounds)}
            flags |= {"benchmark": "true"} if profiled else {}
        else:
            flags |= {"input_dir": INPUTS, "output_dir": OUTPUTS}
        return [f"./{MACE_RUN}", *(f"--{name}={value}" for name, value in flags.items())]

    def shell_line(self, rounds: int, *, profiled: bool = False, pid: bool = False) -> str:
        """What the phone's shell runs.

        Args:
            rounds: executions behind the first.
            profiled: have the DSP's table printed.
            pid: leave the number of the process in a file, so that it can be stopped.
        """
        environment = self.environment(profiled=profiled)
        words = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
        words += map(shlex.quote, self.arguments(rounds, profiled=profiled))
        steps = [f"cd {shlex.quote(str(self.folder))}", *self._copies(rounds, profiled)]
        if not pid:
            return " && ".join([*steps, " ".join(words)])
        steps += [f"echo $$ > {PID}", f"exec env {' '.join(words)}"]
        return f"sh -c {shlex.quote(' && '.join(steps))}"

    def _copies(self, rounds: int, profiled: bool) -> list[str]:
        """What fills the folder of inputs of a mace_run without CPU ops: a set for each run."""
        if self.build.cpu_ops:
            return []
        numbers = [f"_{number}" for number in range(1, rounds + 1)] if profiled else [""]
        copies = [
            f"cp {file} {INPUTS}/{plain_name(name)}{number}"
            for number in numbers
            for name, file in self.input_files.items()
        ]
        return [f"rm -rf {INPUTS} {OUTPUTS}", f"mkdir {INPUTS} {OUTPUTS}", *copies]


def make_plan(
    model: Path,
    graph: Graph,
    library: LibraryVersion,
    build: Build | None = None,
    extra: Sequence[Path] = (),
) -> Plan:
    """Plan a run.

    Raises:
        ConfigError: mace_run cannot be told the names of the tensors apart.
    """
    _check_names([item.name for item in graph.inputs], "input")
    _check_names([item.name for item in graph.outputs], "output")
    return Plan(model, graph, library, build or Build(), FOLDER / graph.name, tuple(extra))


def _check_names(names: Sequence[str], side: str) -> None:
    files: dict[str, str] = {}
    for name in names:
        if "," in name or not name:
            raise ConfigError(
                f"mace_run cannot be told of the {side} '{name}'",
                why="it takes names separated by commas",
                hint="rename the tensor in the ONNX model, and convert it again",
            )
        other = files.setdefault(plain_name(name), name)
        if other != name:
            raise ConfigError(
                f"the {side}s '{other}' and '{name}' have one file for mace_run",
                why=f"it calls both '{plain_name(name)}'",
                hint="rename one in the ONNX model, and convert it again",
            )


def push_lines(plan: Plan, serial: str, inputs: Mapping[str, Path]) -> list[str]:
    """The commands that bring everything to a phone, to be pasted into a shell."""
    adb = ["adb", "-s", serial] if serial else ["adb"]
    lines = [shlex.join([*adb, "shell", f"mkdir -p {plan.folder}"])]
    for name, path in plan.files.items():
        lines.append(_push(adb, path, plan.folder / name))
    for name, target in plan.input_files.items():
        source = inputs.get(name, Path(Path(target).name))
        lines.append(_push(adb, source, plan.folder / target))
    lines.append(shlex.join([*adb, "shell", f"chmod 755 {plan.folder / MACE_RUN}"]))
    return lines


def _push(adb: Sequence[str], source: Path, target: PurePosixPath) -> str:
    return f"{shlex.join(adb)} push {_local(source)} {shlex.quote(str(target))}"


def _local(path: Path) -> str:
    """A path for a shell, the variable of MACE's folder left to be expanded."""
    text = str(path)
    if text.startswith(VARIABLE):
        return f'"{text}"'
    return shlex.quote(text)


def run_line(plan: Plan, serial: str, rounds: int, *, profiled: bool = False) -> str:
    """The command that runs the model."""
    adb = ["adb", "-s", serial] if serial else ["adb"]
    return shlex.join([*adb, "shell", plan.shell_line(rounds, profiled=profiled)])


def pull_lines(plan: Plan, serial: str) -> list[str]:
    """The commands that bring the outputs back."""
    adb = ["adb", "-s", serial] if serial else ["adb"]
    return [
        shlex.join([*adb, "pull", str(plan.folder / file), Path(file).name])
        for file in plan.output_files.values()
    ]
