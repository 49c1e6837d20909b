"""What a forward pass takes, counted op by op on tensors without memory: operations, matrix products, activations.

The products (`Product`) are what the pass cannot do without: on a given machine they take a certain time however well
the rest is done, and `rates.py` measures it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from sartm_core.benchmark.config import Size
from sartm_core.model.sartm import SARTM
from sartm_core.runtime.graph.graph import FoldedSARTM

Shape = tuple[int, ...]
aten = torch.ops.aten

CPU_FLOPS: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: lambda *shapes, **_: sdpa_flop_count(*shapes[:3]),
}
"""torch's counter knows only the GPU's attention."""


@dataclass(frozen=True)
class Product:
    """One shape of matrix product, convolution or attention."""

    kind: str
    """`matmul` (M, K) by (K, N); `bmm` (B, M, K) by (B, K, N); `conv` or `attention` of `shapes`."""
    shapes: tuple[Shape, ...]
    """`matmul`, `bmm`: the two factors; `conv`: input and weight; `attention`: q, k, v."""
    options: tuple[Any, ...] = ()
    """`conv`: stride, padding, dilation, transposed, output padding, groups. `attention`: scale."""


@dataclass(frozen=True)
class Counts:
    """One forward pass."""

    flops: int
    """Floating point operations of products of matrices, convolutions and attention; 2 for a multiplication with its
    addition."""
    products: dict[Product, int]
    """How often each occurs."""
    weights: int
    """Bytes of the parameters and buffers that the pass reads."""
    pair: int
    """Bytes of the largest input of an op and the largest output it makes, at the op where they are most."""
    moved: int
    """Bytes that all ops read and write, each by itself: what fusing them saves of memory traffic is not taken off."""
    ops: int
    """How many ops do so; views do not."""


@dataclass(frozen=True)
class ModelCounts:
    """One model at one size, both cameras, one frame."""

    plain: Counts
    """`SARTM.forward` as written, both cameras as one batch."""
    deploy: Counts
    """The folded graph that engines run."""


def count_model(model: SARTM, size: Size) -> ModelCounts:
    """The model's tensors lose their memory in counting."""
    inputs = torch.empty(1, 3, *size), torch.empty(1, 1, *size)
    scores = (size[0] // 4, size[1] // 4)
    model = model.unfold().eval()
    folded = FoldedSARTM(model)
    layout = folded.layout(size)
    deploy = count(lambda rgb, thermal: folded(rgb, thermal, layout), inputs, folded, layout)
    plain = count(lambda rgb, thermal: model(rgb, thermal, size=scores).logits, inputs, model)
    return ModelCounts(plain, deploy)


def count(
    forward: Callable[[Tensor, Tensor], Tensor], inputs: tuple[Tensor, Tensor], *modules: torch.nn.Module
) -> Counts:
    """Run `forward` without doing it; the modules' tensors have no memory afterwards."""
    mode = FakeTensorMode()
    for module in modules:
        without_memory(module, mode)
    rgb, thermal = (mode.from_tensor(x) for x in inputs)
    watch = Watch({key(t): t.nbytes for t in tensors_of(*modules)})
    counter = FlopCounterMode(display=False, custom_mapping=CPU_FLOPS)
    with torch.no_grad(), mode, counter, watch:
        forward(rgb, thermal)
    flops, weights = int(counter.get_total_flops()), sum(watch.read.values())
    return Counts(flops, dict(watch.products), weights, watch.pair, watch.moved, watch.ops)


def tensors_of(*modules: torch.nn.Module) -> list[Tensor]:
    """All parameters and buffers."""
    return [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]


def without_memory(module: torch.nn.Module, mode: FakeTensorMode) -> None:
    """Replace every tensor of `module`, in place, by one of the same shape and type that owns no memory."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            fake = torch.nn.Parameter(mode.from_tensor(parameter.data), requires_grad=parameter.requires_grad)
            part.register_parameter(name, fake)
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, mode.from_tensor(buffer))


def key(tensor: Tensor) -> int:
    """What all views of one piece of memory have in common, while it is alive."""
    return tensor.untyped_storage()._cdata


class Watch(TorchDispatchMode):
    """Notes products, weights read, the largest pair of activations and all that moves."""

    def __init__(self, weights: dict[int, int]) -> None:
        super().__init__()
        self.weights, self.read = weights, dict[int, int]()
        self.products: Counter[Product] = Counter()
        self.pair = self.moved = self.ops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        inputs, outputs = ([t for t in tree_leaves(x) if isinstance(t, Tensor)] for x in ((args, kwargs), out))
        given, made = ({key(t): t.untyped_storage().nbytes() for t in tensors} for tensors in (inputs, outputs))
        self.read |= {k: self.weights[k] for k in given if k in self.weights}
        activations = [size for k, size in given.items() if k not in self.weights]
        new = [size for k, size in made.items() if k not in given]  # neither a view nor in place
        if activations and new:
            self.pair = max(self.pair, max(activations) + max(new))
        if new or func._schema.is_mutable:
            self.moved += sum(t.nbytes for t in (*inputs, *outputs))
            self.ops += 1
        product = product_of(func.overloadpacket, args, kwargs or {})
        if product is not None:
            self.products[product] += 1
        return out


def product_of(op: Any, args: Any, kwargs: dict[str, Any]) -> Product | None:
    """What the op multiplies; None when it does not."""
    shapes = [tuple(a.shape) for a in args if isinstance(a, Tensor)]
    if op in (aten.mm, aten.addmm):
        return Product("matmul", tuple(shapes[-2:]))
    if op in (aten.bmm, aten.baddbmm):
        return Product("bmm", tuple(shapes[-2:]))
    if op is aten.convolution:
        return convolution(shapes[0], shapes[1], tuple(tuple(a) if isinstance(a, list) else a for a in args[3:9]))
    if op in ATTENTION:
        return Product("attention", tuple(shapes[:3]), (kwargs.get("scale"),))
    return None


ATTENTION = (
    aten._scaled_dot_product_flash_attention_for_cpu, aten._scaled_dot_product_flash_attention,
    aten._scaled_dot_product_efficient_attention, aten._scaled_dot_product_cudnn_attention,
)  # fmt: skip


def convolution(image: Shape, weight: Shape, options: tuple[Any, ...]) -> Product:
    """Where a convolution is no more than a matrix product of the pixels, that product."""
    stride, padding, dilation, transposed, _, groups = options
    pixels, kernel = image[0] * prod(image[2:]), prod(weight[2:])
    apart = tuple(stride) == tuple(weight[2:])  # windows do not overlap
    simple = groups == 1 and not any(padding) and all(d == 1 for d in dilation) and apart
    if simple and transposed:
        return Product("matmul", ((pixels, weight[0]), (weight[0], weight[1] * kernel)))
    if simple and kernel == 1:
        return Product("matmul", ((pixels, weight[1]), (weight[1], weight[0])))
    return Product("conv", (image, weight), options)


def product_flops(product: Product) -> int:
    """Operations of one, by hand; what torch's counter says is the sum of these."""
    first, second = product.shapes[:2]
    if product.kind in ("matmul", "bmm"):
        return 2 * prod(first) * second[-1]
    if product.kind == "attention":
        batch, heads, queries, width = first
        return 2 * batch * heads * queries * second[2] * (width + product.shapes[2][3])
    stride, padding, dilation, transposed, _, _ = product.options
    pixels = first[2:]
    if not transposed:
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, second[2:], strict=True)]
        pixels = tuple(
            (n + 2 * p - span) // s + 1 for n, p, span, s in zip(pixels, padding, spans, stride, strict=True)
        )
    return 2 * first[0] * prod(pixels) * prod(second)
