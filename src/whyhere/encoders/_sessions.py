"""Opens an image tower's ONNX file in one of the engines that can run it.

ONNX Runtime comes with every installation, computes in float32, and takes a CUDA device where
`onnxruntime-gpu` is installed in its place and there is one. OpenVINO is an extra for processors with
bfloat16 instructions, where it is twice as fast and less exact; `docs/speed.md` has the measurements.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError, UsageError

if TYPE_CHECKING:
    import openvino

FloatArray = NDArray[np.float32]

Engine = Literal["onnxruntime", "openvino"]
ENGINES: tuple[Engine, ...] = ("onnxruntime", "openvino")
"""What can run an image tower; the first one is taken where nothing is asked for."""

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

# What a graph on CUDA is to do as on the processor: float32 products in float32 and not in the 19 bits of
# TF32, and the same convolution kernel at every start, not the one that was quickest in a trial run.
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    _CUDA: {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"},
}


class ValueInfo(Protocol):
    """An input or output of a graph."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def shape(self) -> Sequence[Any]:
        """Its shape; a free dimension is a word or None."""


class Session(Protocol):
    """A graph, open: the part of onnxruntime's `InferenceSession` that towers use."""

    def get_inputs(self) -> Sequence[ValueInfo]:
        """The inputs of the graph."""

    def get_outputs(self) -> Sequence[ValueInfo]:
        """The outputs of the graph."""

    def run(self, outputs: Sequence[str], feeds: Mapping[str, FloatArray]) -> list[FloatArray]:
        """The outputs of these names, for inputs by name."""


def open_session(
    path: Path, *, threads: int = 0, engine: str = "onnxruntime", providers: Sequence[str] | None = None
) -> tuple[Session, str]:
    """Open an ONNX file.

    Args:
        path: The file.
        threads: Threads for one run; 0 takes one per physical core.
        engine: One of `ENGINES`.
        providers: Where ONNX Runtime computes, the preferred one first, by its own names
            ("CUDAExecutionProvider"). By default on a CUDA device where it can, else on the processor.

    Returns:
        The session, and in words what it computes with, such as "onnxruntime, CPU, float32".

    Raises:
        MissingFileError: The engine is not installed; the message says how to get it.
        UsageError: There is no such engine, or no such provider on this machine.
        Exception: Whatever the engine raises at a file that it cannot run; there is no common base class.
    """
    check_engine(engine)
    if engine == "openvino":
        if providers:
            raise UsageError("providers are onnxruntime's; the engine openvino takes none")
        session = OpenVinoSession(path, threads=threads)
        return session, f"openvino, CPU, {session.precision}"
    return _open_onnxruntime(path, threads, providers)


def check_engine(engine: str) -> None:
    """Refuse the name of an engine that whyhere does not know.

    Raises:
        UsageError: It is none of `ENGINES`.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r}: there is no such engine; choose one of {', '.join(ENGINES)}")


def import_onnxruntime() -> ModuleType:
    """Import onnxruntime, which is slow and not needed by most commands, with its telemetry off.

    `whyhere/__init__.py` has told it so before; a program that imports onnxruntime before whyhere has already
    had it note that a process started, and can only be kept from telling more.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # on Windows it reports in another way, which asks no variable
    module: ModuleType = onnxruntime
    return module


def _open_onnxruntime(path: Path, threads: int, providers: Sequence[str] | None) -> tuple[Session, str]:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what fails is raised and reported by us; no second report on stderr

    def opened(names: Sequence[str]) -> Any:  # noqa: ANN401 - onnxruntime has no type information
        return onnxruntime.InferenceSession(
            str(path),
            options,
            providers=[(name, dict(_OPTIONS.get(name, {}))) for name in names],
            enable_fallback=0,  # it would report on stdout, where our answers go
        )

    available = onnxruntime.get_available_providers()
    if providers:
        for name in providers:
            if name not in available:
                raise UsageError(_absent(name, available))
        session = opened(providers)
        used = session.get_providers()[0]
        if used != providers[0]:
            raise UsageError(f"{providers[0]} cannot be used on this machine; onnxruntime took {used}")
    elif _CUDA in available:
        try:
            session = opened((_CUDA, _CPU))
        except Exception:  # no device, no driver; a file that is at fault fails again below
            session = opened((_CPU,))
    else:
        session = opened((_CPU,))
    where = session.get_providers()[0].removesuffix("ExecutionProvider")
    return session, f"onnxruntime, {where}, float32"


def _absent(name: str, available: Sequence[str]) -> str:
    remedy = "; run: pip uninstall onnxruntime && pip install onnxruntime-gpu" if name == _CUDA else ""
    return f"this onnxruntime has no {name}, only {', '.join(available)}{remedy}"


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
