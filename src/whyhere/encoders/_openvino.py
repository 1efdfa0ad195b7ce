"""Runs an ONNX file with OpenVINO, in the shape of an onnxruntime session.

On processors with bfloat16 instructions (AVX512-BF16 or AMX: AMD since Zen 4, Intel Xeon since Cooper Lake)
it computes in bfloat16, which has the range of float32, 8 bits of precision and twice the speed; on others in
float32. OpenVINO is asked whether it would choose bfloat16 itself, and then told, so that nothing else
(float16 on ARM) can be meant.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError

if TYPE_CHECKING:
    import openvino

FloatArray = NDArray[np.float32]

_TELEMETRY = "openvino_telemetry"


@dataclass(frozen=True, slots=True)
class _Value:
    """Name and shape of an input or output; a free dimension is None."""

    name: str
    shape: tuple[int | None, ...]


class OpenVinoSession:
    """A graph compiled for the processor; for one photo at a time, as towers run them.

    Args:
        path: The ONNX file; its weights may lie beside it.
        threads: Threads; 0 takes one per physical core.
        precision: "bfloat16" or "float32"; by default the former where OpenVINO would choose it.

    Raises:
        MissingFileError: OpenVINO is not installed.
        RuntimeError: It cannot read or run the file.
    """

    def __init__(self, path: Path, *, threads: int = 0, precision: str | None = None) -> None:
        openvino = import_openvino()
        core = openvino.Core()
        self.precision = precision or ("bfloat16" if _prefers_bfloat16(core) else "float32")
        model = core.read_model(str(path))
        shapes = {value.get_any_name(): value.get_partial_shape() for value in model.inputs}
        for shape in shapes.values():
            shape[0] = 1  # one photo at a time: the graph is then planned once and for all
        model.reshape(shapes)
        settings: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": {"bfloat16": "bf16", "float32": "f32"}[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
            # Pinned threads of two processes would share a core while others are idle.
            "ENABLE_CPU_PINNING": False,
        }
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        compiled = core.compile_model(model, "CPU", settings)
        self._inputs = [value for port in compiled.inputs for value in _values(port)]
        self._outputs = [value for port in compiled.outputs for value in _values(port)]
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()  # onnxruntime's sessions may be shared by threads; a request may not

    def get_inputs(self) -> Sequence[_Value]:
        """The inputs of the graph."""
        return self._inputs

    def get_outputs(self) -> Sequence[_Value]:
        """The outputs of the graph."""
        return self._outputs

    def run(self, outputs: Sequence[str], feeds: Mapping[str, FloatArray]) -> list[FloatArray]:
        """The outputs of these names, for inputs by name."""
        given = {name: np.ascontiguousarray(values) for name, values in feeds.items()}
        with self._lock:
            results = self._request.infer(given)
            return [np.array(results[name], np.float32) for name in outputs]


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry.

    The package asks for another, `openvino_telemetry`, and where that is installed, importing openvino is
    enough to report to a server of Intel's. Nothing leaves this machine through whyhere: that package is made
    unfindable while openvino is imported, which then takes a stub of its own that does nothing, for good.

    Raises:
        MissingFileError: OpenVINO is not installed, or cannot be loaded.
    """
    modules = cast("dict[str, object]", sys.modules)
    known = modules.get(_TELEMETRY, modules)
    modules[_TELEMETRY] = None  # Python's own way to say that a module is not to be imported
    try:
        import openvino
    except (ImportError, OSError) as error:  # OSError: a library that it loads is missing
        raise MissingFileError(
            f'engine "openvino" needs OpenVINO ({error}); install it with: pip install "whyhere[fast]", '
            "or leave the engine out"
        ) from error
    finally:
        del modules[_TELEMETRY]
        if known is not modules:
            modules[_TELEMETRY] = known
    module: ModuleType = openvino
    return module


def _prefers_bfloat16(core: openvino.Core) -> bool:
    """Tell whether OpenVINO would compute in bfloat16 here, which it does where there are instructions."""
    return bool(core.get_property("CPU", "INFERENCE_PRECISION_HINT").get_type_name() == "bf16")


def _values(port: openvino.ConstOutput) -> list[_Value]:
    """Describe a port of a compiled model, once by each name that the graph has for it."""
    sizes = port.get_partial_shape()
    shape = tuple(int(size.get_length()) if size.is_static else None for size in sizes)
    return [_Value(str(name), shape) for name in sorted(port.get_names())]
