"""Several processes with one global batch: the loss curve is that of one process.

Every process embeds its share of photos and places, all shares are gathered, and every process computes the
whole loss. Its gradient with respect to its own share is then complete, so gradients of parameters are summed
over processes; parameters that act after the gathering are wrapped in `shared`, which divides their gradient
by the number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

_TIMEOUT = timedelta(hours=24)  # other processes wait while the first one computes features


@contextmanager
def process_group(device: str = "cpu") -> Iterator[str]:
    """Join the processes that `torchrun` started; alone, do nothing.

    Args:
        device: Torch device that was asked for.

    Yields:
        The device of this process: with several on "cuda", the one of its number on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield device
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_TIMEOUT)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait until all processes are here."""
    if dist.is_initialized():
        dist.barrier()


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process do something alone before the others do it too."""
    if rank() != 0:
        barrier()
    yield
    if rank() == 0:
        barrier()


class _Gather(torch.autograd.Function):
    """Concatenate equally long shares; the gradient of a share is its slice of the whole gradient."""

    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:  # noqa: ANN401 - torch's own context object
        ctx.rows = len(share)
        shares = [torch.empty_like(share) for _ in range(world_size())]
        dist.all_gather(shares, share.contiguous())
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        start = rank() * ctx.rows
        return gradient[start : start + ctx.rows]


def gather(share: Tensor) -> Tensor:
    """Return the shares of all processes, in order, with a gradient."""
    if world_size() == 1:
        return share
    gathered: Tensor = _Gather.apply(share)  # type: ignore[no-untyped-call]
    return gathered


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ANN401
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return gradient / world_size()


def shared(value: Tensor) -> Tensor:
    """Return a parameter that every process uses in full; see the module's text."""
    if world_size() == 1:
        return value
    same: Tensor = _Shared.apply(value)  # type: ignore[no-untyped-call]
    return same


def share_of(count: int) -> slice:
    """Return the rows of a global batch that this process works on; `count` divides by the processes."""
    size = count // world_size()
    return slice(rank() * size, (rank() + 1) * size)


def sum_gradients(parameters: list[torch.nn.Parameter]) -> None:
    """Add up the gradients of all processes."""
    if world_size() == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
