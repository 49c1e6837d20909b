"""Data parallel training: the batch is the union of what all processes hold.

Losses and batch statistics are written once, over `all_sum`; in a single process everything here is the identity.
The processes' gradients are averaged afterwards (as DDP does), so a loss is right when the mean over processes of what
they return is the loss of the whole batch.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    """Number of processes; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def all_sum(tensor: Tensor) -> Tensor:
    """Sum of a tensor over processes, the same in each; differentiable. Every process must call it, in one order."""
    return tensor if world_size() == 1 else cast(Tensor, _AllSum.apply(tensor))


class _AllSum(torch.autograd.Function):
    """y = sum over processes of x, so the gradient of x is the sum over processes of that of y.

    torch has the same in `torch.distributed.nn.functional`, with a deprecation warning and no public replacement.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Any:
        return _AllSum.apply(*grad)


def all_cat(tensor: Tensor) -> Tensor:
    """The tensors of all processes one behind the other in rank order, without gradient; lengths may differ."""
    tensor = tensor.detach()
    if world_size() == 1:
        return tensor
    lengths = torch.zeros(world_size(), dtype=torch.int64, device=tensor.device)
    lengths[rank()] = len(tensor)
    sizes = all_sum(lengths).tolist()
    padded = tensor.new_zeros(max(sizes), *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batch of all processes, on any device.

    Alone, or in eval mode, it is `nn.BatchNorm2d`, with the same state_dict keys. torch's own `SyncBatchNorm` works on
    GPUs only, and DDP refuses a CPU module that holds one.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        x = input.float()
        area = x.numel() // x.shape[1]
        first = all_sum(torch.cat((x.sum((0, 2, 3)), x.new_tensor([area]))))  # (C + 1,)
        count = first[-1]
        mean = (first[:-1] / count).view(1, -1, 1, 1)
        var = all_sum((x - mean).square().sum((0, 2, 3))) / count  # (C,)
        self._track(mean.detach().flatten(), var.detach() * count / (count - 1).clamp(min=1))
        out = (x - mean) * (var + self.eps).rsqrt().view(1, -1, 1, 1)
        if self.affine:
            out = out * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return out.to(input.dtype)

    def _track(self, mean: Tensor, unbiased_var: Tensor) -> None:
        """Move the running statistics (C,) as torch does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        step = 1.0 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, step)
        self.running_var.lerp_(unbiased_var, step)


def sync_batchnorm(module: nn.Module) -> nn.Module:
    """`module` with every `nn.BatchNorm2d` below it replaced in place by one over all processes, parameters kept."""
    for name, child in module.named_children():
        setattr(module, name, sync_batchnorm(child))
    if type(module) is not nn.BatchNorm2d:
        return module
    synced = SyncedBatchNorm2d(
        module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
    )
    synced.weight, synced.bias = module.weight, module.bias
    for name, buffer in module.named_buffers(recurse=False):
        setattr(synced, name, buffer)
    return synced.train(module.training)
