"""The part of the ONNX file format that whyhere reads and writes.

ONNX files are protocol buffers. The `onnx` package would add 31 MB to every installation only to describe
them, while `protobuf` itself comes with onnxruntime; so the dozen messages needed here are declared at run
time, with the field numbers of the published `onnx.proto` (IR version 8). Fields not named here survive
reading unharmed, as protocol buffers keep what they do not know.

This module knows messages and tensors, not what a graph means.
"""

from __future__ import annotations

from collections.abc import Sequence
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


Attribute: TypeAlias = int | float | Sequence[int]

_FLOAT, _INT, _INTS = 1, 2, 7  # AttributeProto.AttributeType

OPSET = 17  # the first with LayerNormalization; known to every onnxruntime since 1.12
_IR_VERSION = 8  # the one that came with opset 17
WEIGHTS_SUFFIX = ".weights"
_INLINE_BYTES = 1024
_ALIGNMENT = 65536  # offsets that every system can map, Windows being the strictest


class GraphBuilder:
    """Collects a graph; every method that adds something returns the name to refer to it by.

    Args:
        name: Name of the graph.
    """

    def __init__(self, name: str) -> None:
        self._graph = GraphProto(name=name)
        self._weights: dict[str, NDArray[Any]] = {}
        self._domains: set[str] = {""}

    def input(self, name: str, shape: tuple[int | str, ...]) -> str:
        """Declare a float32 input; a string in `shape` names a free dimension."""
        self._graph.input.append(_value_info(name, shape))
        return name

    def output(self, name: str, shape: tuple[int | str, ...]) -> None:
        """Declare a float32 output, which some node must have produced under this name."""
        self._graph.output.append(_value_info(name, shape))

    def weight(self, name: str, array: NDArray[Any]) -> str:
        """Add an initialiser. The same weight may be added again and is stored once.

        Raises:
            ValueError: There is another weight of this name.
        """
        known = self._weights.setdefault(name, array)
        if known is not array and (known.dtype != array.dtype or not np.array_equal(known, array)):
            raise ValueError(f"two different weights are called {name}")
        return name

    def node(self, op: str, *inputs: str, name: str, domain: str = "", **attributes: Attribute) -> str:
        """Add a node with one output; the output bears the node's name.

        Args:
            op: Operator, such as "MatMul".
            inputs: Names of inputs, in order.
            name: Name of the node and of its output.
            domain: Operator set; "" is ONNX's own, "com.microsoft" that of onnxruntime.
            attributes: int, float, or a sequence of int.
        """
        self._domains.add(domain)
        node = self._graph.node.add(op_type=op, input=inputs, output=[name], name=name)
        if domain:
            node.domain = domain
        for key in sorted(attributes):
            node.attribute.append(_attribute(key, attributes[key]))
        return name

    def write(self, path: Path) -> None:
        """Write the graph to `path` and its large weights beside it, to `path` with suffix `.weights`.

        Weights in a file of their own are mapped into memory by onnxruntime instead of being parsed and
        copied, and are written here one at a time. The same graph gives the same bytes.
        """
        model = ModelProto(ir_version=_IR_VERSION, producer_name="whyhere", graph=self._graph)
        for domain in sorted(self._domains):
            model.opset_import.add(domain=domain, version=1 if domain else OPSET)
        weights = path.with_suffix(WEIGHTS_SUFFIX)
        with weights.open("wb") as file:
            for name, array in self._weights.items():
                if array.nbytes < _INLINE_BYTES:  # shapes and the like, which must be known at load time
                    model.graph.initializer.append(to_tensor(name, array))
                    continue
                file.write(bytes(-file.tell() % _ALIGNMENT))
                model.graph.initializer.append(to_external_tensor(name, array, weights.name, file.tell()))
                file.write(raw_bytes(array))
        path.write_bytes(model.SerializeToString(deterministic=True))


def _value_info(name: str, shape: tuple[int | str, ...]) -> Message:
    info = ValueInfoProto(name=name)
    info.type.tensor_type.elem_type = 1
    for size in shape:
        if isinstance(size, str):
            info.type.tensor_type.shape.dim.add(dim_param=size)
        else:
            info.type.tensor_type.shape.dim.add(dim_value=size)
    return info


def _attribute(name: str, value: Attribute) -> Message:
    if isinstance(value, int):
        return AttributeProto(name=name, i=value, type=_INT)
    if isinstance(value, float):
        return AttributeProto(name=name, f=value, type=_FLOAT)
    return AttributeProto(name=name, ints=value, type=_INTS)


class FloatWeights:
    """The float32 weights of a model by name, read from its file of weights where they lie there.

    Args:
        model: The model.
        folder: Where its file of weights lies.
    """

    def __init__(self, model: Message, folder: Path) -> None:
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._folder = folder

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        tensor = self._tensors[name]
        if tensor.data_type != FLOAT:
            raise ValueError(f"{name} is no float32 tensor")
        if not tensor.data_location:
            inline: NDArray[np.float32] = to_array(tensor)
            return inline
        place = {entry.key: entry.value for entry in tensor.external_data}
        count, file = int(np.prod(tensor.dims)), self._folder / Path(place["location"]).name
        values = np.fromfile(file, "<f4", count, offset=int(place["offset"]))
        return values.reshape(tuple(tensor.dims)).astype(np.float32, copy=False)
