"""What a training step takes, counted op by op without doing it: bytes and floating point operations.

The step runs on tensors that have a shape and a type but no memory (torch's `FakeTensorMode`), with our model,
objective and autograd as they are. So a batch that no machine at hand could hold is counted in seconds; and with the
types that a GPU's mixed precision would choose (`GpuRules`), without a GPU.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from sartm_core.losses.objective import Objective
from sartm_core.model.checkpoint import comes_from_sam2
from sartm_core.model.config import SAM2_BACKBONES
from sartm_core.model.sartm import SARTM, SARTMOutput
from sartm_core.train.config import TrainConfig

Size = tuple[int, int]
Shape = tuple[int, ...]
M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")

AUTOCAST: dict[str, torch.dtype | None] = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""`TrainerConfig.precision` -> what autocast computes in."""
TEXT_WIDTH: dict[str, int | None] = {"none": None, "clip": 512, "minilm": 384}
"""`LossConfig.teacher` -> length of its embeddings."""
FP32_ON_GPU = ("layer_norm", "group_norm", "softmax", "pow", "sum", "cumsum", "interpolate")
"""Of the functions that the model uses, those that autocast runs in float32 on a GPU; on a CPU it leaves them alone."""
ADAMW_MOMENTS = 2
ADAMW_STEP_BYTES = 4
"""AdamW counts the steps of every tensor in a float32 of its own."""


def convolution_backward_flops(out: Shape, image: Shape, weight: Shape, *options: Any, **_: Any) -> int:
    """Of the gradients that are wanted of a convolution with any number of groups."""
    transposed, wanted = options[4], options[7]
    pixels = image if transposed else out
    return 2 * sum(wanted[:2]) * math.prod(pixels) * math.prod(weight[1:])


CPU_FLOPS: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda *shapes, **_: sdpa_flop_count(*shapes[:3]),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda *shapes, **_: sdpa_backward_flop_count(
        *shapes[:4]
    ),
    torch.ops.aten.convolution_backward: convolution_backward_flops,
}
"""torch's counter knows only the GPU's attention, and takes gradients of grouped convolutions for those of whole."""


@dataclass(frozen=True)
class ModelBytes:
    """What is there all the time, whatever the batch. Bytes unless told otherwise."""

    parameters: int
    """Number of values."""
    trained: int
    """Number of values that train."""
    weights: int
    """Parameters and buffers of model and objective."""
    gradients: int
    """Of what trains."""
    optimizer: int
    """AdamW's two moments and step count of what trains."""
    averaged: int
    """The moving average's copy of all weights (`optim.ema_decay`), 0 without."""
    adapter: int | None
    """Tensors of the adapter file that training writes; None where it writes the whole model."""


@dataclass(frozen=True)
class StepBytes:
    """What one forward and backward pass of a micro-batch adds, inputs and gradients included."""

    saved: int
    """What autograd keeps from the forward for the backward pass."""
    peak: int
    """Most bytes that are alive at once; most of them are the saved ones."""


class StepCounter:
    """One backbone on tensors without memory; weights are random, no file is read."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        model, objective = build(config)
        self.model_bytes = model_bytes(config, model, objective)
        self.mode = FakeTensorMode()
        self.model, self.objective = without_memory(model, self.mode), without_memory(objective, self.mode)
        for owner, method in model.encoder.trunk.recomputed:  # the backward pass forgets the mode
            setattr(owner, method, with_gpu_rules(getattr(owner, method)))

    def recompute_activations(self) -> None:
        """From now on count `trainer.activation_checkpointing true`."""
        self.model.encoder.recompute_activations()

    def bytes(self, size: Size, batch: int, precision: str) -> StepBytes:
        """Count a step of `batch` frames of (height, width), the first one of a training."""
        self.model.encoder.trunk.forget()
        owned = {key(t) for t in tensors_of(self.model, self.objective)}
        saved, live = SavedBytes(owned), LiveBytes(owned)
        with self.mode, GpuRules(), OnePixelCount(batch * size[0] * size[1]), live:
            forward_backward(self.model, self.objective, make_batch(self.config, size, batch), precision, saved)
        self.model.zero_grad()
        return StepBytes(saved.total, live.peak)

    def flops(self, size: Size) -> int:
        """Floating point operations of a step of one frame: products of matrices, convolutions and attention."""
        counter = FlopCounterMode(display=False, custom_mapping=CPU_FLOPS)
        with self.mode, OnePixelCount(size[0] * size[1]), counter:
            forward_backward(self.model, self.objective, make_batch(self.config, size, 1), "32-true")
        self.model.zero_grad()
        return int(counter.get_total_flops())


def build(config: TrainConfig) -> tuple[SARTM, Objective]:
    """Model and objective in training mode with random weights and text embeddings."""
    model, width = SARTM(config.model), TEXT_WIDTH[config.loss.teacher]
    text = None if width is None else torch.randn(config.model.num_classes, width)
    objective = Objective(config.loss, config.model.num_classes, model.encoder.width, text)
    return model.train(), objective.train()


def make_batch(config: TrainConfig, size: Size, batch: int) -> dict[str, Tensor]:
    """Random frames and labels as the loader gives them."""
    return {
        "rgb": torch.randn(batch, 3, *size),
        "thermal": torch.rand(batch, 1, *size),
        "keep": torch.ones(batch, 2, dtype=torch.bool),
        "label": torch.randint(0, config.model.num_classes, (batch, *size)),
    }


def forward_backward(
    model: SARTM, objective: Objective, batch: dict[str, Tensor], precision: str, saved: SavedBytes | None = None
) -> None:
    """As Lightning does it with `LitSARTM`: the forward pass under autocast, the losses in float32, backward."""
    saved = saved or SavedBytes(set())
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
        loss = objective(forward(model, batch, precision), batch["label"])["loss"]
    loss.backward()


def forward(model: SARTM, batch: dict[str, Tensor], precision: str) -> SARTMOutput:
    dtype = AUTOCAST[precision]
    with torch.autocast(batch["rgb"].device.type, dtype or torch.bfloat16, enabled=dtype is not None):
        return model(batch["rgb"], batch["thermal"], keep=batch["keep"])


def model_bytes(config: TrainConfig, model: SARTM, objective: Objective) -> ModelBytes:
    """Counted from names and shapes."""
    trained = [p for p in model.parameters() if p.requires_grad]
    weights = sum(t.nbytes for t in tensors_of(model, objective))
    names = set(model.trainable_names())
    kept = (t.nbytes for name, t in model.state_dict().items() if name in names or not comes_from_sam2(name))
    gradients = sum(p.nbytes for p in trained)
    whole = config.model.train_encoder or config.model.backbone not in SAM2_BACKBONES
    return ModelBytes(
        parameters=sum(p.numel() for p in model.parameters()),
        trained=sum(p.numel() for p in trained),
        weights=weights,
        gradients=gradients,
        optimizer=ADAMW_MOMENTS * gradients + ADAMW_STEP_BYTES * len(trained),
        averaged=weights if config.optim.ema_decay else 0,
        adapter=None if whole else sum(kept),
    )


def tensors_of(*modules: nn.Module) -> list[Tensor]:
    """All parameters and buffers."""
    return [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]


def without_memory(module: M, mode: FakeTensorMode) -> M:
    """`module` with every tensor replaced, in place, by one of the same shape and type that owns no memory."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            fake = nn.Parameter(mode.from_tensor(parameter.data), requires_grad=parameter.requires_grad)
            part.register_parameter(name, fake)
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, mode.from_tensor(buffer))
    return module


def key(tensor: Tensor) -> int:
    """What all views of one piece of memory have in common, while it is alive."""
    return tensor.untyped_storage()._cdata


class SavedBytes:
    """Sums what autograd keeps, every piece of memory once; `owned` are pieces that are there anyway."""

    def __init__(self, owned: set[int]) -> None:
        self.seen, self.total = set(owned), 0

    def pack(self, tensor: Tensor) -> Tensor:
        if key(tensor) not in self.seen:  # it stays alive until backward, so its key is not given to another
            self.seen.add(key(tensor))
            self.total += tensor.untyped_storage().nbytes()
        return tensor


class LiveBytes(TorchDispatchMode):
    """Follows every piece of memory from the op that makes it until nothing refers to it any more."""

    def __init__(self, owned: set[int]) -> None:
        super().__init__()
        self.owned, self.live, self.now, self.peak = owned, set[int](), 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and not (key(tensor) in self.owned or key(tensor) in self.live):
                storage = tensor.untyped_storage()
                self.live.add(key(tensor))
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._freed, key(tensor), storage.nbytes())
        return out

    def _freed(self, key: int, size: int) -> None:
        self.live.discard(key)
        self.now -= size


class OnePixelCount(TorchDispatchMode):
    """Answers the one question that a tensor without values cannot: OHEM's count of pixels. All are valid and hard, as
    they are when a training starts."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.pixels = pixels

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return self.pixels
        return func(*args, **(kwargs or {}))


class GpuRules(TorchFunctionMode):
    """CPU tensors under autocast get the types that a GPU's autocast would give them.

    Without it a bf16 step of base+ would seem to keep 9 % less: a GPU's autocast takes more ops in float32.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not torch.is_autocast_enabled("cpu") or getattr(func, "__name__", "") not in FP32_ON_GPU:
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return func(*map(in_float32, args), **{name: in_float32(value) for name, value in kwargs.items()})


def in_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def with_gpu_rules(function: Callable[..., T]) -> Callable[..., T]:
    def run(*args: Any) -> T:
        with GpuRules():
            return function(*args)

    return run
