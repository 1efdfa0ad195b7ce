"""GeoCLIP's location encoder as a torch module, for runs that train it too.

At inference and in runs with a frozen encoder the NumPy one (`whyhere.encoders`) is used; the tensors carry
the same names, so a trained encoder is saved in the same format.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyhere.encoders._equal_earth import equal_earth

Doubles = NDArray[np.float64]

_SIGMAS = (2.0**0, 2.0**4, 2.0**8)
_FREQUENCIES, _HIDDEN, _DIM = 256, 1024, 512


class _Capsule(nn.Module):
    def __init__(self, sigma: float, generator: torch.Generator) -> None:
        super().__init__()
        frequencies = torch.randn(_FREQUENCIES, 2, generator=generator) * sigma
        self.register_buffer("frequencies", frequencies)
        widths = (2 * _FREQUENCIES, _HIDDEN, _HIDDEN, _HIDDEN, _DIM)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        with torch.no_grad():
            for layer in self.layers:
                assert isinstance(layer, nn.Linear)
                bound = 1 / math.sqrt(layer.in_features)
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, points: Tensor) -> Tensor:
        phases = (2 * math.pi * points) @ self.get_buffer("frequencies").T
        hidden = torch.cat((torch.cos(phases), torch.sin(phases)), dim=1)
        for layer in self.layers[:-1]:
            hidden = torch.relu(layer(hidden))
        out: Tensor = self.layers[-1](hidden)
        return out


class LocationNet(nn.Module):
    """Equal Earth projection, random Fourier features at three scales, three small networks, summed.

    Args:
        seed: Seed of the weights and frequencies.
    """

    dim = _DIM

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.capsules = nn.ModuleList(_Capsule(sigma, generator) for sigma in _SIGMAS)

    def forward(self, lat: Doubles, lon: Doubles) -> Tensor:
        """Embed positions in degrees, each shape (n,), to float32, shape (n, 512), with a gradient."""
        weight = self.capsules[0].get_parameter("layers.0.weight")
        points = torch.from_numpy(equal_earth(lat, lon)).to(weight)
        return torch.stack([capsule(points) for capsule in self.capsules]).sum(dim=0)

    def load(self, path: Path) -> None:
        """Read the weights of a `location_encoder.safetensors`."""
        from safetensors.torch import load_file

        tensors = load_file(path)
        self.load_state_dict({own: tensors[name] for own, name in _names().items()})

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights under the names that `whyhere.encoders.LocationEncoder` reads."""
        state = self.state_dict()
        return {name: state[own].detach().cpu().numpy().astype(np.float32) for own, name in _names().items()}


def _names() -> dict[str, str]:
    """Map names of this module to names of the file."""
    names: dict[str, str] = {}
    for number in range(len(_SIGMAS)):
        capsule, file = f"capsules.{number}", f"LocEnc{number}"
        names[f"{capsule}.frequencies"] = f"{file}.capsule.0.b"
        for layer, place in enumerate(("capsule.1", "capsule.3", "capsule.5", "head.0")):
            for kind in ("weight", "bias"):
                names[f"{capsule}.layers.{layer}.{kind}"] = f"{file}.{place}.{kind}"
    return names
