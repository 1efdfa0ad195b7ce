"""GeoCLIP's location encoder in NumPy: from a position on Earth to an embedding.

Vivanco Cepeda, Nayak and Shah, "GeoCLIP" (NeurIPS 2023), section 3.1: Equal Earth projection, random Fourier
features at three scales, one small network per scale, and the sum of the three. The numbers are those of
the `geoclip` package in float32; see `_equal_earth` for what that takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open

from whyhere.errors import MissingFileError

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

_REMEDY = "run `whyhere releases fetch base --force`"
_CAPSULES, _FREQUENCIES, _HIDDEN, _DIM = 3, 256, 1024, 512
_BATCH = 2048  # from 256 on the time differs by 3 %; small batches suffer when cores are shared

# Layers of one capsule as the `geoclip` package names them, with output and input width.
_LAYERS = (
    ("capsule.1", _HIDDEN, 2 * _FREQUENCIES),
    ("capsule.3", _HIDDEN, _HIDDEN),
    ("capsule.5", _HIDDEN, _HIDDEN),
    ("head.0", _DIM, _HIDDEN),
)


def location_encoder_shapes() -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor of `location_encoder.safetensors`; all are float32."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(_CAPSULES):
        shapes[f"LocEnc{number}.capsule.0.b"] = (_FREQUENCIES, 2)
        for layer, width, inputs in _LAYERS:
            shapes[f"LocEnc{number}.{layer}.weight"] = (width, inputs)
            shapes[f"LocEnc{number}.{layer}.bias"] = (width,)
    return shapes


@dataclass(frozen=True, slots=True)
class _Capsule:
    """One scale: frequencies [256, 2] and the weights [out, in] and biases [out] of its four layers."""

    frequencies: Float32Array
    layers: tuple[tuple[Float32Array, Float32Array], ...]


class LocationEncoder:
    """GeoCLIP's location encoder. Make one with `load`.

    Attributes:
        algorithm: Names how the numbers are computed; changes whenever an embedding would.
        dim: Width of an embedding.
    """

    algorithm = "geoclip-location-numpy/1"
    dim = _DIM

    def __init__(self, tensors: dict[str, Float32Array]) -> None:
        self._capsules = tuple(
            _Capsule(
                tensors[f"LocEnc{number}.capsule.0.b"],
                tuple(
                    (tensors[f"LocEnc{number}.{layer}.weight"], tensors[f"LocEnc{number}.{layer}.bias"])
                    for layer, _, _ in _LAYERS
                ),
            )
            for number in range(_CAPSULES)
        )

    @classmethod
    def load(cls, path: str | Path) -> LocationEncoder:
        """Read the weights.

        Args:
            path: `location_encoder.safetensors`, with the tensors of `location_encoder_shapes`.

        Raises:
            MissingFileError: The file is missing or damaged, a tensor is missing, too many, or has the wrong
                shape or type, or a number is not finite.
        """
        path = Path(path)
        if not path.is_file():
            raise MissingFileError(f"{path}: the location encoder's weights are missing; {_REMEDY}")
        try:
            return cls(_read(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise MissingFileError(
                f"{path}: not the weights of GeoCLIP's location encoder ({error}); {_REMEDY}"
            ) from error

    def embed(
        self,
        lat: ArrayLike,
        lon: ArrayLike,
        *,
        progress: Callable[[int], None] | None = None,
        batch_size: int = _BATCH,
    ) -> Float32Array:
        """Embed positions.

        The last bits of an embedding (below 1e-7) may depend on the size of its batch.

        Args:
            lat: Latitudes in degrees, -90 to 90, shape (n,). Rounded to float32, as GeoCLIP does.
            lon: Longitudes in degrees, -180 to 180, shape (n,). They are not wrapped: the encoder is not
                seamless at the antimeridian, so -180 and 180 have different embeddings.
            progress: Called with the number of positions done, after each batch.
            batch_size: Positions at once.

        Returns:
            Embeddings as the encoder gives them, not of unit length; float32 [n, 512].

        Raises:
            ValueError: Shapes differ, a coordinate is not finite or out of range, or `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
        points = equal_earth(*_checked(lat, lon))
        embeddings = np.zeros((len(points), _DIM), np.float32)
        size = max(1, min(batch_size, len(points)))
        wide = (np.empty((size, _HIDDEN), np.float32), np.empty((size, _HIDDEN), np.float32))
        features, out = np.empty((size, 2 * _FREQUENCIES), np.float32), np.empty((size, _DIM), np.float32)
        for start in range(0, len(points), size):
            batch = points[start : start + size]
            rows = slice(0, len(batch))
            buffers = (wide[0][rows], wide[1][rows], wide[0][rows], out[rows])
            for capsule in self._capsules:
                _fourier_features(batch, capsule.frequencies, features[rows])
                embeddings[start : start + size] += _network(capsule, features[rows], buffers)
            if progress is not None:
                progress(start + len(batch))
        return embeddings


def _fourier_features(points: Float32Array, frequencies: Float32Array, out: Float32Array) -> None:
    """Write cos(2 pi B v) and sin(2 pi B v) for positions v [n, 2], frequencies B [256, 2] to out [n, 512].

    Phases reach 6,400 radians, where float32 steps are 5e-4: the result hangs on the order of operations.
    torch rounds 2 pi v, then u0 b0, then the fused u1 b1 + u0 b0. The float64 product is exact, so one
    rounding of the sum to float32 stands for the fused operation.
    """
    scaled = points * np.float32(2 * np.pi)
    phases = (
        scaled[:, 1:].astype(np.float64) * frequencies[:, 1].astype(np.float64)
        + scaled[:, :1] * frequencies[:, 0]
    ).astype(np.float32)
    np.cos(phases, out=out[:, :_FREQUENCIES])
    np.sin(phases, out=out[:, _FREQUENCIES:])


def _network(capsule: _Capsule, features: Float32Array, buffers: tuple[Float32Array, ...]) -> Float32Array:
    """Run the four layers, [n, 512] to [n, 512], each into its buffer; all but the last end in a ReLU."""
    hidden = features
    for (weight, bias), out in zip(capsule.layers, buffers, strict=True):
        np.matmul(hidden, weight.T, out=out)
        out += bias
        if out is not buffers[-1]:
            np.maximum(out, 0, out=out)
        hidden = out
    return hidden


def _checked(lat: ArrayLike, lon: ArrayLike) -> tuple[Float64Array, Float64Array]:
    """Return the coordinates as arrays, or say what is wrong with the first bad one."""
    lats, lons = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    if lats.ndim != 1 or lats.shape != lons.shape:
        raise ValueError(
            f"lat and lon must be one-dimensional and equally long, not {lats.shape} and {lons.shape}"
        )
    bad = ~((np.abs(lats) <= 90) & (np.abs(lons) <= 180))  # also true where one is NaN
    if bad.any():
        row = int(np.argmax(bad))
        hint = "; are latitude and longitude swapped?" if abs(lats[row]) > 90 else ""
        raise ValueError(
            f"point {row}: latitude {lats[row]} and longitude {lons[row]} must lie within -90 to 90 and "
            f"-180 to 180 degrees{hint}"
        )
    return lats, lons


def _read(path: Path) -> dict[str, Float32Array]:
    """Read and check every tensor; raises ValueError with the first fault."""
    shapes = location_encoder_shapes()
    tensors: dict[str, Float32Array] = {}
    with safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        if missing := sorted(shapes.keys() - names):
            raise ValueError(f"tensor {missing[0]} is missing")
        if surplus := sorted(names - shapes.keys()):
            raise ValueError(f"tensor {surplus[0]} is not part of it")
        for name, shape in shapes.items():
            header = file.get_slice(name)
            found = tuple(header.get_shape())
            if found != shape or header.get_dtype() != "F32":
                raise ValueError(f"tensor {name} is {header.get_dtype()} {found} instead of F32 {shape}")
            tensors[name] = file.get_tensor(name)
            if not np.isfinite(tensors[name]).all():
                raise ValueError(f"tensor {name} has numbers that are not finite")
    return tensors


_FloatArray = TypeVar("_FloatArray", Float32Array, Float64Array)
_f32 = np.float32

SINE = (-0.16666659550427754, 0.008333066246082139, -0.00019809602901937014, 2.605780637966247e-06)
"""sin(x) = x + x (c0 x^2 + c1 x^4 + c2 x^6 + c3 x^8) on [0, pi/2]; largest relative error 6.1e-9."""

ARC_SINE = (
    0.16666792333126068,
    0.0749436691403389,
    0.04555787518620491,
    0.0238226056098938,
    0.042693231254816055,
)
"""asin(x) = x + x (c0 x^2 + ... + c4 x^10) on [0, 1/2], all float32 numbers; largest relative error 9e-9."""

# Constants of the projection (Savric, Patterson and Jenny 2018), in the precision that GeoCLIP gives them.
_A1, _A2, _A3, _A4, _SCALE = 1.340264, -0.081106, 0.000893, 0.003796, 66.50336


def equal_earth(lat: Float64Array, lon: Float64Array) -> Float32Array:
    """Project positions as GeoCLIP does.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,). -180 and 180 are different places to GeoCLIP.

    Returns:
        x (eastward) and y (northward) in units of 180 scaled degrees, about -1 to 1 and -.49 to .49;
        float32, shape (n, 2).
    """
    per_degree = _f32(math.pi / 180)
    phi, lam = lat.astype(np.float32) * per_degree, lon.astype(np.float32) * per_degree
    root3 = np.sqrt(_f32(3))
    sin_phi = _sine(phi.astype(np.float64)).astype(np.float32)
    theta = arc_sine((root3 / _f32(2)) * sin_phi)
    theta64 = theta.astype(np.float64)
    cos_theta = _sine(np.pi / 2 - np.abs(theta64)).astype(np.float32)

    # Squares and cubes are products of float32 in torch, higher powers are rounded once.
    square = theta * theta
    square64 = theta64 * theta64
    power6 = square64 * square64 * square64
    power7, power8 = power6 * theta64, power6 * square64
    power9 = power8 * theta64
    denominator = _f32(3) * (
        _f32(9 * _A4) * power8.astype(np.float32)
        + _f32(7 * _A3) * power6.astype(np.float32)
        + _f32(3 * _A2) * square
        + _f32(_A1)
    )
    x = (_f32(2) * root3 * lam * cos_theta) / denominator
    y = (
        _f32(_A4) * power9.astype(np.float32)
        + _f32(_A3) * power7.astype(np.float32)
        + _f32(_A2) * (square * theta)
        + _f32(_A1) * theta
    )
    projected: Float32Array = np.stack((x, y), axis=1) * _f32(_SCALE) / _f32(180)
    return projected


def _sine(x: Float64Array) -> Float64Array:
    """Sine of -pi/2 to pi/2 by `SINE`."""
    square = x * x
    return x + x * square * _polynomial(SINE, square)


def arc_sine(x: Float32Array) -> Float32Array:
    """Arc sine of -1 to 1 by `ARC_SINE`; above 1/2 through asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2))."""
    magnitude = np.abs(x)
    small = magnitude < _f32(0.5)
    square = np.where(small, magnitude * magnitude, (_f32(1) - magnitude) * _f32(0.5))
    root64 = np.sqrt(square.astype(np.float64))
    root = np.where(small, magnitude, root64.astype(np.float32))
    correction = _polynomial(ARC_SINE, square) * square * root

    # pi/2 - 2 root - 2 correction in two parts: `head` has 12 bits, so pi/2 - 2 head is exact in float32.
    head = (root.view(np.int32) & ~0xFFF).view(np.float32)
    tail = (root64 - head).astype(np.float32)
    half_pi = _f32(np.pi / 2)
    rest = _f32(np.pi / 2 - float(half_pi))
    large = (half_pi - _f32(2) * head) - ((_f32(2) * tail - rest) + _f32(2) * correction)
    result: Float32Array = np.copysign(np.where(small, magnitude + correction, large), x)
    return result


def _polynomial(coefficients: tuple[float, ...], x: _FloatArray) -> _FloatArray:
    """Horner's rule in the precision of x, every step rounded."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + x.dtype.type(coefficient)
    return value
