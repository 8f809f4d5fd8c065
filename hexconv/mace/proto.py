"""MACE's protobuf messages (proto2), described as data and built at import.

Field numbers and types are the contract (docs/nnlib/mace-contract.md#protobuf); nothing is
generated, so any protobuf runtime will do.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "float": _Field.TYPE_FLOAT,
    "bool": _Field.TYPE_BOOL,
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
}

DATA_TYPES = {
    "DT_INVALID": 0,
    "DT_FLOAT": 1,
    "DT_UINT8": 2,
    "DT_HALF": 3,
    "DT_INT32": 4,
    "DT_FLOAT16": 5,
    "DT_BFLOAT16": 6,
    "DT_INT16": 7,
    "DT_INT8": 8,
    "DT_UINT16": 9,
    "DT_UINT32": 10,
    "DT_BOOL": 11,
}

# name: "[repeated] type name number [default]", in the order of the contract
_MESSAGES: dict[str, tuple[str, ...]] = {
    "ConstTensor": (
        "repeated int64 dims 1",
        "DataType data_type 2 DT_FLOAT",
        "packed float float_data 3",
        "packed int32 int32_data 4",
        "string name 5",
        "int64 offset 6",
        "int64 data_size 7",
        "float scale 8",
        "int32 zero_point 9",
        "float minval 10",
        "float maxval 11",
        "bool quantized 12 false",
        "uint32 node_id 100",
    ),
    "Argument": (
        "string name 1",
        "float f 2",
        "int64 i 3",
        "bytes s 4",
        "repeated float floats 5",
        "repeated int64 ints 6",
    ),
    "NodeInput": ("int32 node_id 1", "int32 output_port 2"),
    "OutputShape": ("repeated int64 dims 1",),
    "QuantizeActivationInfo": (
        "float scale 1",
        "int32 zero_point 2",
        "float minval 3",
        "float maxval 4",
    ),
    "OperatorDef": (
        "repeated string input 1",
        "repeated string output 2",
        "string name 3",
        "string type 4",
        "int32 device_type 5",
        "repeated Argument arg 6",
        "repeated OutputShape output_shape 7",
        "repeated DataType output_type 8",
        "repeated QuantizeActivationInfo quantize_info 9",
        "repeated int32 mem_id 10",
        "uint32 node_id 100",
        "uint32 op_id 101",
        "uint32 padding 102",
        "repeated NodeInput node_input 103",
        "repeated int32 out_max_byte_size 104",
    ),
    "InputOutputInfo": (
        "string name 1",
        "int32 node_id 2",
        "repeated int32 dims 3",
        "int32 max_byte_size 4",
        "DataType data_type 5 DT_FLOAT",
        "int32 data_format 6 1",
        "float scale 7",
        "int32 zero_point 8",
        "string alias 100",
    ),
    "NetDef": (
        "repeated OperatorDef op 1",
        "repeated Argument arg 2",
        "repeated ConstTensor tensors 3",
        "DataType data_type 4 DT_FLOAT",
        "string name 5",
        "int32 data_offset 6 0",
        "int32 data_size 7 0",
        "int32 infer_order 8 0",
        "repeated InputOutputInfo input_info 100",
        "repeated InputOutputInfo output_info 101",
    ),
    "MultiNetDef": (
        "int32 version_code 1 1",
        "string name 2",
        "repeated NetDef net_def 3",
        "repeated string input_tensor 100",
        "repeated string output_tensor 101",
    ),
}


def _field(text: str) -> _Field:
    words = text.split()
    field = _Field(label=_Field.LABEL_OPTIONAL)
    if words[0] in ("repeated", "packed"):
        field.label = _Field.LABEL_REPEATED
        if words.pop(0) == "packed":
            field.options.packed = True
    kind, field.name, field.number = words[0], words[1], int(words[2])
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type = _Field.TYPE_ENUM if kind == "DataType" else _Field.TYPE_MESSAGE
        field.type_name = f".mace.{kind}"
    if len(words) > 3:
        field.default_value = words[3]
    return field


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="hexconv/mace.proto", package="mace", syntax="proto2"
    )
    enum = file.enum_type.add(name="DataType")
    for name, number in DATA_TYPES.items():
        enum.value.add(name=name, number=number)
    for name, fields in _MESSAGES.items():
        file.message_type.add(name=name).field.extend(_field(text) for text in fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"mace.{name}"))
        for name in _MESSAGES
    }


CLASSES = _build()
Argument = CLASSES["Argument"]
ConstTensor = CLASSES["ConstTensor"]
InputOutputInfo = CLASSES["InputOutputInfo"]
MultiNetDef = CLASSES["MultiNetDef"]
NetDef = CLASSES["NetDef"]
OperatorDef = CLASSES["OperatorDef"]
