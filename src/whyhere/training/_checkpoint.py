"""Checkpoints: everything a run needs to go on as if it had never stopped, in one file without pickles.

Randomness is no state here: every draw comes from a generator seeded by (seed, purpose, epoch or step), so
the step number is all that a resumed run needs to draw the same numbers, whatever the number of processes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from whyhere._io import write_atomically
from whyhere.errors import MissingFileError


@dataclass(slots=True)
class RunState:
    """Where a run stands, apart from weights and optimiser.

    Attributes:
        step: Steps done.
        epoch: Epochs done.
        step_in_epoch: Steps done of the running epoch.
        best_loss: Best validation loss so far; infinity before the first.
        best_step: Step at which it was reached.
        bad_epochs: Epochs since then.
        finished: Whether the run has ended, by its last epoch or by early stopping.
        at_start: Validation figures before the first step; empty without validation photos.
    """

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    best_loss: float = float("inf")
    best_step: int = 0
    bad_epochs: int = 0
    finished: bool = False
    at_start: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {name: getattr(self, name) for name in self.__slots__}


def save_checkpoint(
    path: Path,
    *,
    state: RunState,
    module: nn.Module,
    best: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
    queue: Tensor,
    identity: Mapping[str, Any],
) -> None:
    """Write a checkpoint; a kill leaves the one before.

    Args:
        path: The file.
        state: Where the run stands.
        module: What is trained.
        best: Weights at the best validation loss.
        optimiser: Its optimiser.
        queue: Latitudes and longitudes of the queue, float64, shape (q, 2).
        identity: What must be the same when the run goes on: configuration, data.
    """
    from safetensors.torch import save

    tensors = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for number, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
    tensors["queue"] = queue
    # Copies: safetensors refuses tensors that share memory, as best and module do right after an epoch.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    words = json.dumps({"state": state.to_dict(), "identity": dict(identity)})
    write_atomically(path, save(tensors, metadata={"whyhere": words}))


def load_checkpoint(
    path: Path, *, module: nn.Module, optimiser: torch.optim.Optimizer, identity: Mapping[str, Any]
) -> tuple[RunState, dict[str, Tensor], Tensor]:
    """Read a checkpoint into a module and its optimiser.

    Args:
        path: The file.
        module: Receives the weights.
        optimiser: Receives its state.
        identity: What the checkpoint must have been made with.

    Returns:
        Where the run stands, the best weights, and the queue.

    Raises:
        MissingFileError: The file is damaged, or belongs to another run; the message says what differs.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            words = json.loads(file.metadata()["whyhere"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise MissingFileError(
            f"{path}: not a checkpoint of whyhere ({error}); start again without --resume"
        ) from error
    saved = words["identity"]
    odd = sorted(key for key in saved.keys() | identity.keys() if saved.get(key) != identity.get(key))
    if odd:
        changes = ", ".join(f"{key} was {saved.get(key)!r} and is {identity.get(key)!r}" for key in odd)
        raise MissingFileError(f"{path} belongs to another run: {changes}; give the same data and --config")
    module.load_state_dict(_part(tensors, "module."))
    weights = optimiser.state_dict()
    weights["state"] = {}
    for name, tensor in _part(tensors, "optimiser.").items():
        number, _, key = name.partition(".")
        weights["state"].setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict(weights)
    return RunState(**words["state"]), _part(tensors, "best."), tensors["queue"]


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
