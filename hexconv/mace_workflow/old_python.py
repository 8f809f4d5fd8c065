"""What MACE's scripts expect of Python packages that have moved on since."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from google.protobuf.internal import enum_type_wrapper

from hexconv.mace import proto

MESSAGES = ("mace_pb2", "micro_mem_pb2")


def bridge(root: Path) -> None:
    """Let MACE's scripts of a source folder run on today's packages.

    PyYAML 6 wants a loader; sh 2 returns strings where MACE reads the command's fields; NumPy 1.24
    took its names for Python's types away, newer onnx its module `mapping`; json does not write
    bytes, which templates of generated code print; MACE's py_proto builds its messages with bazel
    or CMake whenever it is imported.
    """
    _bridge_yaml()
    _bridge_sh()
    _bridge_jinja2()
    _bridge_onnx()
    for name, kind in (("bool", bool), ("int", int), ("float", float), ("object", object)):
        if name not in vars(np):
            setattr(np, name, kind)
    _bridge_py_proto(root / "tools" / "python" / "py_proto")


def _bridge_yaml() -> None:
    original = yaml.load

    def load(stream: Any, Loader: Any = yaml.SafeLoader) -> Any:
        return original(stream, Loader)

    yaml.load = load


def _bridge_sh() -> None:
    if importlib.util.find_spec("sh") is None:
        return
    import sh

    if int(str(sh.__version__).split(".")[0]) >= 2:
        sys.modules["sh"] = sh.bake(_return_cmd=True)


def _bridge_jinja2() -> None:
    if importlib.util.find_spec("jinja2") is None:
        return
    from jinja2.defaults import DEFAULT_POLICIES

    kwargs = DEFAULT_POLICIES["json.dumps_kwargs"]
    DEFAULT_POLICIES["json.dumps_kwargs"] = {**kwargs, "default": bytes.decode}


def _bridge_onnx() -> None:
    if "onnx.mapping" in sys.modules or importlib.util.find_spec("onnx.mapping") is not None:
        return
    module = types.ModuleType("onnx.mapping")
    module.TENSOR_TYPE_TO_NP_TYPE = {  # type: ignore[attr-defined]
        number: onnx.helper.tensor_dtype_to_np_dtype(number)
        for number in onnx.TensorProto.DataType.values()
        if number != onnx.TensorProto.UNDEFINED
    }
    sys.modules["onnx.mapping"] = module
    onnx.mapping = module


def _bridge_py_proto(folder: Path) -> None:
    """MACE's messages without a build: those it generated before, else hexconv's description.

    tools/sh_commands.py imports them as python.py_proto, all others as py_proto.
    """
    package = types.ModuleType("py_proto")
    package.__path__ = [str(folder)]
    modules = {name: _generated(folder, name) or _described(name) for name in MESSAGES}
    vars(package).update(modules)
    for prefix in ("py_proto", "python.py_proto"):
        sys.modules[prefix] = package
        sys.modules.update({f"{prefix}.{name}": module for name, module in modules.items()})


def _generated(folder: Path, name: str) -> types.ModuleType | None:
    """What MACE's build generated, if it is there and suits the installed protobuf."""
    path = folder / f"{name}.py"
    if not path.is_file():
        return None
    found = importlib.util.spec_from_file_location(f"py_proto.{name}", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except (TypeError, ImportError, AttributeError):  # generated for another protobuf
        return None
    return module


def _described(name: str) -> types.ModuleType:
    """The messages of mace.proto as hexconv describes them; those for micro are MACE's alone."""
    module = types.ModuleType(f"py_proto.{name}")
    if name == "mace_pb2":
        vars(module).update(proto.DATA_TYPES)
        vars(module).update(proto.CLASSES)
        number = proto.ConstTensor.DESCRIPTOR.fields_by_name["data_type"].enum_type
        vars(module)["DataType"] = enum_type_wrapper.EnumTypeWrapper(number)
    return module
