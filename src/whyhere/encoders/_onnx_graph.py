"""A small builder of ONNX graphs: nodes by their output name, initialisers by theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders import _onnx_format as fmt

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
        self._graph = fmt.GraphProto(name=name)
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
        model = fmt.ModelProto(ir_version=_IR_VERSION, producer_name="whyhere", graph=self._graph)
        for domain in sorted(self._domains):
            model.opset_import.add(domain=domain, version=1 if domain else OPSET)
        weights = path.with_suffix(WEIGHTS_SUFFIX)
        with weights.open("wb") as file:
            for name, array in self._weights.items():
                if array.nbytes < _INLINE_BYTES:  # shapes and the like, which must be known at load time
                    model.graph.initializer.append(fmt.to_tensor(name, array))
                    continue
                file.write(bytes(-file.tell() % _ALIGNMENT))
                model.graph.initializer.append(fmt.to_external_tensor(name, array, weights.name, file.tell()))
                file.write(fmt.raw_bytes(array))
        path.write_bytes(model.SerializeToString(deterministic=True))


def _value_info(name: str, shape: tuple[int | str, ...]) -> fmt.Message:
    info = fmt.ValueInfoProto(name=name)
    info.type.tensor_type.elem_type = 1
    for size in shape:
        if isinstance(size, str):
            info.type.tensor_type.shape.dim.add(dim_param=size)
        else:
            info.type.tensor_type.shape.dim.add(dim_value=size)
    return info


def _attribute(name: str, value: Attribute) -> fmt.Message:
    if isinstance(value, int):
        return fmt.AttributeProto(name=name, i=value, type=_INT)
    if isinstance(value, float):
        return fmt.AttributeProto(name=name, f=value, type=_FLOAT)
    return fmt.AttributeProto(name=name, ints=value, type=_INTS)
