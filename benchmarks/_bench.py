"""What the benchmarks share: clocks, the machine's name, matrix rates, Markdown."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders import GraphBuilder, ViTConfig, import_onnxruntime
from whyhere.encoders._sessions import Session, open_session

ROOT = Path(__file__).resolve().parent.parent

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_SIZE = 2048  # side of the matrices: larger ones are no faster here


def machine() -> dict[str, Any]:
    """Return date, processor, versions, commit and load, as every result records them."""
    onnxruntime = import_onnxruntime()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "commit": commit(),
        "load": [round(load, 1) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def headline(about: dict[str, Any]) -> str:
    """Say in one line what `machine` found."""
    load = f", load {about['load'][0]} at the start" if about["load"] else ""
    return (
        f"{about['date']}, {about['processor']}, {about['cores']} cores, {about['system']}, "
        f"onnxruntime {about['onnxruntime']}, commit {about['commit']}{load}"
    )


def processor() -> str:
    """Name of the processor and of its instructions that matter here, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    known = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if name in flags]
    found = names[0] if names else platform.processor() or platform.machine()
    return f"{found} ({', '.join(known)})" if known else found


def commit() -> str:
    """Return the commit of the checkout, "+" where files differ from it, or "unknown"."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def best_seconds(
    work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Shortest of several runs: other work on the machine only ever adds.

    Args:
        work: What is timed.
        repeats: How often.
        clock: The wall clock, or `time.process_time`, which other work disturbs less and which counts the
            seconds of all threads.
    """
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine of corresponding rows."""
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def tower_flops(config: ViTConfig) -> float:
    """Floating-point operations of one photo in the tower's matrix products (a product and a sum are two)."""
    t, h, m = config.tokens, config.hidden, config.mlp
    layer = t * h * 3 * h + 2 * t * t * h + t * h * h + 2 * t * h * m
    patches = (t - 1) * 3 * config.patch**2 * h
    return 2.0 * (config.layers * layer + patches + h * config.projection)


def matmul_rates(threads: int, *, engine: str | None = None, cuda: bool = False) -> dict[str, float]:
    """Measure the rate of large matrix products, the ceiling of any tower.

    Args:
        threads: Threads of every library; 0 leaves them as they are.
        engine: Only of this engine's products; by default numpy's as well, and openvino's where it is.
        cuda: Also of onnxruntime on a CUDA device.

    Returns:
        By library and precision, operations per second of processor time (of one core, that is), or of the
        clock for a device.
    """
    rates: dict[str, float] = {}
    x = np.random.default_rng(0).standard_normal((_SIZE, _SIZE), np.float32)
    if engine is None:
        rates["numpy float32"] = 2 * _SIZE**3 / best_seconds(lambda: x @ x, 9, time.process_time)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "products.onnx"
        _write_products(path, _SIZE, 2)
        sessions: dict[str, Session] = {}
        if engine in (None, "onnxruntime"):
            sessions["onnxruntime float32"], _ = open_session(path, threads=threads, providers=[_CPU])
        if engine in (None, "openvino") and has_openvino():
            from whyhere.encoders._sessions import OpenVinoSession

            own = OpenVinoSession(path, threads=threads)
            sessions[f"openvino {own.precision}"] = own
            sessions["openvino float32"] = OpenVinoSession(path, threads=threads, precision="float32")
        for label, session in sessions.items():
            rates[label] = 2 * 2 * _SIZE**3 / _seconds_of(session, x, time.process_time)
    if cuda:
        rates["onnxruntime CUDA float32"] = _cuda_rate()
    return rates


def _seconds_of(session: Session, x: NDArray[np.float32], clock: Callable[[], float]) -> float:
    session.run(["y"], {"x": x[None]})
    return best_seconds(lambda: session.run(["y"], {"x": x[None]}), 9, clock)


def _cuda_rate() -> float:
    """Rate of onnxruntime's products on a CUDA device; enough of them to make the copies cheap."""
    size, depth = 4096, 32
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "products.onnx"
        _write_products(path, size, depth)
        session, _ = open_session(path, providers=[_CUDA, _CPU])
        x = np.random.default_rng(1).standard_normal((size, size), np.float32)
        return 2 * depth * size**3 / _seconds_of(session, x, time.perf_counter)


def _write_products(path: Path, size: int, depth: int) -> None:
    """Write a graph that multiplies a matrix by the same weights, again and again."""
    graph = GraphBuilder("products")
    y = graph.input("x", ("n", size, size))
    weight = np.random.default_rng(2).standard_normal((size, size), np.float32) * np.float32(size**-0.5)
    for step in range(depth):
        last = "y" if step == depth - 1 else f"product{step}"
        y = graph.node("MatMul", y, graph.weight("w", weight), name=last)
    graph.output("y", ("n", size, size))
    graph.write(path)


def has_openvino() -> bool:
    """Tell whether the extra `fast` is installed."""
    from importlib.util import find_spec

    return find_spec("openvino") is not None


def has_cuda() -> bool:
    """Tell whether onnxruntime can compute on a CUDA device here, by trying it."""
    onnxruntime = import_onnxruntime()

    if _CUDA not in onnxruntime.get_available_providers():
        return False
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "products.onnx"
        _write_products(path, 16, 1)
        try:
            open_session(path, providers=[_CUDA])
        except Exception as error:  # they have no common base class
            print(f"onnxruntime has CUDA but cannot use it: {error}", file=sys.stderr)
            return False
    return True


def unused_memory_gb() -> float:
    """Memory that a process may still take, GB; infinite where the system does not say."""
    info = Path("/proc/meminfo")
    lines = info.read_text().splitlines() if info.exists() else []
    found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable")]
    return found[0] / 1e6 if found else float("inf")
