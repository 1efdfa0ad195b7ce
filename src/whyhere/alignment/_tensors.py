"""Reading the tensors and numbers of a release, the same way for every kind of alignment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from whyhere._io import plain
from whyhere.errors import MissingFileError

_LARGEST: Final = 1e4  # trained ones are below 100; no product of three such overflows, nor does its square
_LARGEST_NUMBER: Final = 1e6  # a cosine times more than this is no score any more
SMALLEST: Final = 1e-6
"""What is divided by must not be below."""


def read_tensors(
    path: Path, names: Iterable[str], *, kind: str, remedy: str = "install or train the release again"
) -> dict[str, NDArray[np.float32]]:
    """Read a release's `model.safetensors`.

    Raises:
        MissingFileError: The file is missing or damaged, or lacks one of the tensors `names`; or a value is
            so large that scores would not be finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(plain(path))
    except (OSError, SafetensorError, TypeError, KeyError, ValueError, AttributeError) as error:
        # NumPy has no type for BF16 and F8, and safetensors says so in many ways.
        raise MissingFileError(f"{path}: cannot read the release's weights ({error}); {remedy}") from error
    missing = [name for name in names if name not in tensors]
    if missing:
        raise MissingFileError(f"{path}: tensors {', '.join(missing)} are missing; is it a {kind} release?")
    for name, values in tensors.items():
        # Not NaN either, of which no comparison is true.
        if values.dtype.kind == "f" and not (np.abs(values) <= _LARGEST).all():
            fault = f"beyond {_LARGEST:g}" if np.isfinite(values).all() else "not finite"
            raise MissingFileError(
                f"{path}: {name} must be finite and of a sound size, and is {fault}; {remedy}"
            )
    return tensors


@contextmanager
def section_error(path: Path) -> Iterator[None]:
    """Say which file is to blame where something of the alignment section of a release cannot be read."""
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MissingFileError(
            f"{path.parent / 'config.json'}: the alignment section lacks or garbles {error}"
        ) from error


def number(section: Mapping[str, Any], name: str, *, positive: bool = False) -> float:
    """Return a number of a release's configuration.

    Raises:
        KeyError: There is none of this name.
        TypeError: It is no number.
        ValueError: It is negative, 0 where it must be positive, not finite, or so large that scores would
            not be finite.
    """
    value = float(section[name])
    if not 0 <= value <= _LARGEST_NUMBER or (positive and value == 0):
        least = "above 0 and up" if positive else "from 0"
        raise ValueError(f"{name} {value:g}, which must be a number {least} to {_LARGEST_NUMBER:g}")
    return value
