"""The part of the ONNX file format that whyhere reads and writes.

ONNX files are protocol buffers. The `onnx` package would add 31 MB to every installation only to describe
them, while `protobuf` itself comes with onnxruntime; so the dozen messages needed here are declared at run
time, with the field numbers of the published `onnx.proto` (IR version 8). Fields not named here survive
reading unharmed, as protocol buffers keep what they do not know.

This module knows messages and tensors, not what a graph means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from whyhere.errors import MissingFileError

Message: TypeAlias = Any
"""A message of the classes below; they exist only at run time, so no type checker knows their fields."""

_SCALARS = {"float": 2, "int64": 3, "int32": 5, "string": 9, "bytes": 12}  # as in FieldDescriptorProto.Type
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3

# message -> fields as (name, number, type); "*" marks a repeated field, "+" a repeated packed one.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "StringStringEntryProto": (("key", 1, "string"), ("value", 2, "string")),
    "OperatorSetIdProto": (("domain", 1, "string"), ("version", 2, "int64")),
    "TensorProto": (
        ("dims", 1, "int64*"),
        ("data_type", 2, "int32"),
        ("float_data", 4, "float+"),
        ("int32_data", 5, "int32+"),
        ("int64_data", 7, "int64+"),
        ("name", 8, "string"),
        ("raw_data", 9, "bytes"),
        ("external_data", 13, "StringStringEntryProto*"),
        ("data_location", 14, "int32"),
    ),
    "Dimension": (("dim_value", 1, "int64"), ("dim_param", 2, "string")),
    "TensorShapeProto": (("dim", 1, "Dimension*"),),
    "TensorTypeProto": (("elem_type", 1, "int32"), ("shape", 2, "TensorShapeProto")),
    "TypeProto": (("tensor_type", 1, "TensorTypeProto"),),
    "ValueInfoProto": (("name", 1, "string"), ("type", 2, "TypeProto")),
    "AttributeProto": (
        ("name", 1, "string"),
        ("f", 2, "float"),
        ("i", 3, "int64"),
        ("s", 4, "bytes"),
        ("t", 5, "TensorProto"),
        ("floats", 7, "float*"),
        ("ints", 8, "int64*"),
        ("type", 20, "int32"),
    ),
    "NodeProto": (
        ("input", 1, "string*"),
        ("output", 2, "string*"),
        ("name", 3, "string"),
        ("op_type", 4, "string"),
        ("attribute", 5, "AttributeProto*"),
        ("domain", 7, "string"),
    ),
    "GraphProto": (
        ("node", 1, "NodeProto*"),
        ("name", 2, "string"),
        ("initializer", 5, "TensorProto*"),
        ("input", 11, "ValueInfoProto*"),
        ("output", 12, "ValueInfoProto*"),
    ),
    "ModelProto": (
        ("ir_version", 1, "int64"),
        ("producer_name", 2, "string"),
        ("producer_version", 3, "string"),
        ("graph", 7, "GraphProto"),
        ("opset_import", 8, "OperatorSetIdProto*"),
        ("metadata_props", 14, "StringStringEntryProto*"),
    ),
}


def _declare() -> dict[str, Any]:
    """Message classes by name, in a pool of their own so that an imported `onnx` package is no conflict."""
    file = descriptor_pb2.FileDescriptorProto(name="whyhere/onnx.proto", package="onnx", syntax="proto2")
    for message_name, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message_name)
        for name, number, kind in fields:
            field = declared.field.add(name=name, number=number)
            field.label = _REPEATED if kind[-1] in "*+" else _OPTIONAL
            if kind[-1] == "+":
                field.options.packed = True
            if (base := kind.rstrip("*+")) in _SCALARS:
                field.type = _SCALARS[base]
            else:
                field.type, field.type_name = _MESSAGE, f".onnx.{base}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"onnx.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _declare()
ModelProto = _CLASSES["ModelProto"]
GraphProto = _CLASSES["GraphProto"]
NodeProto = _CLASSES["NodeProto"]
AttributeProto = _CLASSES["AttributeProto"]
TensorProto = _CLASSES["TensorProto"]
ValueInfoProto = _CLASSES["ValueInfoProto"]

FLOAT = 1
# TensorProto.DataType for the types used here.
_DATA_TYPES: dict[int, np.dtype[Any]] = {
    FLOAT: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
}
_DATA_TYPE_OF = {dtype: number for number, dtype in _DATA_TYPES.items()}


def to_tensor(name: str, array: NDArray[Any]) -> Message:
    """A TensorProto that holds `array` (float32, uint8, int8, int32 or int64)."""
    return TensorProto(name=name, data_type=_number_of(array), dims=array.shape, raw_data=raw_bytes(array))


def to_external_tensor(name: str, array: NDArray[Any], location: str, offset: int) -> Message:
    """A TensorProto whose values, `raw_bytes(array)`, lie at `offset` of file `location` beside the model."""
    tensor = TensorProto(name=name, data_type=_number_of(array), dims=array.shape, data_location=1)
    for key, value in (("location", location), ("offset", offset), ("length", array.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def raw_bytes(array: NDArray[Any]) -> bytes:
    """The values as ONNX stores them: row by row, little-endian."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _number_of(array: NDArray[Any]) -> int:
    return _DATA_TYPE_OF[array.dtype.newbyteorder("<")]


def to_array(tensor: Message) -> NDArray[Any]:
    """The values of a TensorProto as an array of its own shape and type.

    Raises:
        ValueError: The type is not one of those above, the values lie in another file, or there are more
            or fewer of them than the shape says.
    """
    if tensor.data_type not in _DATA_TYPES or tensor.data_location:
        raise ValueError(
            f"tensor {tensor.name} has data type {tensor.data_type}, or its values lie elsewhere"
        )
    dtype = _DATA_TYPES[tensor.data_type]
    if tensor.HasField("raw_data"):
        values = np.frombuffer(tensor.raw_data, dtype)
    else:  # typed fields; the small integer types share int32_data
        typed = {FLOAT: tensor.float_data, 7: tensor.int64_data}.get(tensor.data_type, tensor.int32_data)
        values = np.array(typed, dtype)
    return values.reshape(tuple(tensor.dims))


def read_model(path: Path) -> Message:
    """The ModelProto in file `path`.

    Raises:
        MissingFileError: There is no such file, or it is not an ONNX model.
    """
    try:
        model = ModelProto.FromString(path.read_bytes())
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such file (looked for an ONNX model)") from None
    except DecodeError as error:
        raise MissingFileError(f"{path}: not an ONNX model, or cut short ({error})") from error
    if not model.graph.node:
        raise MissingFileError(f"{path}: not an ONNX model (no graph in it)")
    return model
