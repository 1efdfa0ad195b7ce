"""Reading the tensors of a release, the same way for every kind of alignment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError


def read_tensors(
    path: Path, names: Iterable[str], *, kind: str, remedy: str = "install or train the release again"
) -> dict[str, NDArray[np.float32]]:
    """Read a release's `model.safetensors`.

    Args:
        path: The file.
        names: Tensors it must hold.
        kind: Kind of alignment that needs them, for messages.
        remedy: What helps where the file cannot be read.

    Raises:
        MissingFileError: The file is missing or damaged, or lacks a tensor.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, TypeError, KeyError, ValueError, AttributeError) as error:
        # NumPy has no type for BF16 and F8, and safetensors says so in many ways.
        raise MissingFileError(f"{path}: cannot read the release's weights ({error}); {remedy}") from error
    missing = [name for name in names if name not in tensors]
    if missing:
        raise MissingFileError(f"{path}: tensors {', '.join(missing)} are missing; is it a {kind} release?")
    return tensors
