"""The Equal Earth projection as GeoCLIP computes it, nearly to the last bit of its float32 arithmetic.

GeoCLIP multiplies projected coordinates by frequencies of up to 1,022 before it takes their cosine: one
unit in the last place of a coordinate moves an embedding (of length .34) by up to 4e-5. An agreement to 1e-5
therefore stands or falls with the rounding of the projection. torch on x86 takes sin, cos and asin from a
library with small errors (up to .6 and .77 units in the last place), so correctly rounded results differ
from it at one point in ten, NumPy's own float32 functions at far more. Seen from outside, that library
evaluates polynomials with (nearly) the smallest largest relative error; so do we:

- sine: the optimal polynomial of degree 9 on [0, pi/2] in float64, rounded once; cosine from it by
  cos(x) = sin(pi/2 - |x|). torch's bits for all but a few inputs in a million.
- arc sine: degree 11 on [0, 1/2] in float32, with a two-part square root above 1/2. The coefficients were
  fitted to values of torch.asin on one AMD machine; about .05 % of results there still differ by a rounding.
  The library holds variants of its arc sine for other instruction sets that differ among each other at .3 %,
  so on another processor torch itself may miss 1e-5 at one position in some thousands.

The projection uses only arithmetic, roots and roundings, so it is the same on every machine.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
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
