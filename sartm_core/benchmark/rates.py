"""How fast this machine multiplies matrices: large square ones, and exactly those of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from sartm_core.benchmark.baseline import MS
from sartm_core.benchmark.flops import Product
from sartm_core.support.gpu import stopwatch

SQUARE = 4096
"""Side of the large matrices: well beyond every cache, two thirds of a second in fp32 at 200 GFLOP/s."""


def square(side: int) -> Product:
    """Two square matrices."""
    return Product("matmul", ((side, side), (side, side)))


class Rates:
    """Times products in one number format. Lives in a process of its own, see `worker.py`."""

    def __init__(self, products: list[Product], dtype: torch.dtype, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.device = torch.device(device)
        with torch.inference_mode():
            self.ways = [
                [stopwatch(way, self.device) for way in ways(product, dtype, self.device)] for product in products
            ]

    def turn(self) -> list[float]:
        """Milliseconds of each product in the quickest of its ways, once."""
        with torch.inference_mode():
            return [min(seconds() for seconds in ways) * MS for ways in self.ways]


def ways(product: Product, dtype: torch.dtype, device: torch.device) -> Iterator[Callable[[], object]]:
    """Functions that do the product on random numbers; into memory that is there where torch allows it."""
    tensors = [torch.randn(shape, device=device).to(dtype) for shape in product.shapes]
    if product.kind == "matmul":
        x, weight = tensors[0], tensors[1].t().contiguous()  # (N, K), as `nn.Linear` keeps it
        out = x.new_empty(len(x), len(weight))
        yield lambda: torch.mm(x, weight.t(), out=out)
    elif product.kind == "bmm":
        yield multiply(*tensors)
    elif product.kind == "attention":
        query, keys, values = tensors
        (scale,) = product.options
        yield lambda: F.scaled_dot_product_attention(query, keys, values, scale=scale)
        queries = query.flatten(0, 1)  # (B * nH, T, d)
        weights = queries.new_empty(*queries.shape[:2], keys.shape[2])  # (B * nH, T, S)
        scored, summed = multiply(queries, keys.flatten(0, 1).mT), multiply(weights.fill_(1), values.flatten(0, 1))
        yield lambda: (scored(), summed())
    else:
        yield convolve(tensors[0], tensors[1], product.options)


def multiply(first: Tensor, second: Tensor) -> Callable[[], Tensor]:
    out = first.new_empty(*first.shape[:2], second.shape[2])
    return lambda: torch.bmm(first, second, out=out)


def convolve(image: Tensor, weight: Tensor, options: tuple) -> Callable[[], Tensor]:
    """Channels last, the layout in which convolutions are quickest."""
    image, weight = (x.to(memory_format=torch.channels_last) for x in (image, weight))
    return lambda: torch.convolution(image, weight, None, *options)
