"""Several processes that share each batch, started by torchrun."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

T = TypeVar("T")


def rank() -> int:
    """Number of this process, 0 where there is one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if dist.is_initialized():
        dist.barrier()


def of_first(value: T) -> T:
    """The value that the first process has, in every process."""
    if world() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


@contextmanager
def processes() -> Iterator[torch.device]:
    """Join the other processes where torchrun started several; the device of this one."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    # The processes may have been joined around several stages.
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield device
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


class _Gathered(torch.autograd.Function):
    """All processes' rows, in order; the gradient of this process's own."""

    @staticmethod
    def forward(context: Any, rows: Tensor, counts: list[int]) -> Tensor:
        """Gather rows (n, D) of every process, as many as `counts` says, to (sum of counts, D)."""
        context.own = slice(sum(counts[: rank()]), sum(counts[: rank() + 1]))
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        """Every process computes the same loss from the same rows, so its gradient is known here.

        DistributedDataParallel averages the gradients of the weights over the processes; each contributes its
        own galaxies alone, so theirs are multiplied by the number of processes.
        """
        return gradients[0][context.own] * world(), None


def gather(rows: Tensor, counts: list[int]) -> Tensor:
    """Rows (n, D) of every process in the order of their ranks, with gradient; `counts` are their numbers."""
    if world() == 1:
        return rows
    gathered: Tensor = _Gathered.apply(rows, counts)  # type: ignore[no-untyped-call]
    return gathered
