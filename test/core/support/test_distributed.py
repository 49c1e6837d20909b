"""Data parallel training against one process: two real gloo processes, started once, with uneven shares of a batch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from sartm_core.losses.ce import ce_loss
from sartm_core.losses.config import LossConfig
from sartm_core.losses.objective import Objective
from sartm_core.losses.ohem import ohem_loss
from sartm_core.model.sartm import SARTMOutput
from sartm_core.support.distributed import all_cat, all_sum, rank, sync_batchnorm, world_size

CLASSES, WIDTH, STEPS = 4, 6, 3
SHARES = (slice(0, 2), slice(2, 5))
"""Frames of each process, of a batch of five."""
TIMEOUT = 120


class Net(nn.Module):
    """Two convolutions with a batch normalisation: F~n at stride 16, logits at the input's size."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, WIDTH, 16, stride=16), nn.BatchNorm2d(WIDTH), nn.Conv2d(WIDTH, WIDTH, 1)
        )
        self.logits = nn.Conv2d(3, CLASSES, 1)

    def forward(self, x: Tensor) -> SARTMOutput:
        return SARTMOutput(self.logits(x), None, self.features(x))


def make_batch(step: int) -> tuple[Tensor, Tensor]:
    """Images (5, 3, 32, 32) and labels (5, 32, 32); frame 0 has no label at all, class 3 only the last frames."""
    rng = torch.Generator().manual_seed(step)
    label = torch.randint(0, CLASSES - 1, (5, 32, 32), generator=rng)
    label[3:, :, 16:], label[0], label[1, :20], label[4, 10:12] = CLASSES - 1, 255, 255, 255
    return torch.randn(5, 3, 32, 32, generator=rng), label


def averaged(tensor: Tensor) -> Tensor:
    """Mean over processes, as DDP does with gradients."""
    return all_sum(tensor.detach()) / world_size()


def measure(share: slice) -> dict[str, Tensor]:
    """Everything that must not depend on how the batch is shared out, from the frames in `share`."""
    found: dict[str, Tensor] = {}
    weights = torch.tensor([1.0, 0.3, 2.0, 5.0])
    segmentation: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ohem, most pixels hard": ohem_loss,
        "ohem, weighted": lambda x, y: ohem_loss(x, y, weights),
        "ohem, few pixels hard": lambda x, y: ohem_loss(x + 9 * one_hot(y), y),
        "ohem, all pixels equal": lambda x, y: ohem_loss(0 * x + 9 * one_hot(y), y),
        "ohem, no label": lambda x, y: ohem_loss(x, torch.full_like(y, 255)),
        "ce": ce_loss,
        "ce, weighted": lambda x, y: ce_loss(x, y, weights),
        "ce, no label": lambda x, y: ce_loss(x, torch.full_like(y, 255), weights),
    }
    image, label = (t[share] for t in make_batch(0))
    for name, loss in segmentation.items():
        torch.manual_seed(0)
        layer = nn.Conv2d(3, CLASSES, 1)
        value = loss(layer(image), label)
        value.backward()
        found |= {f"{name}: value": averaged(value), f"{name}: gradient": averaged(layer.weight.grad)}

    torch.manual_seed(0)
    text = F.normalize(torch.randn(CLASSES, 5))
    objective = Objective(LossConfig(w1=0.0, w2=50.0, w3=5.0, teacher="clip"), CLASSES, WIDTH, text)
    net = sync_batchnorm(Net()).train()
    for step in range(STEPS):
        image, label = (t[share] for t in make_batch(step))
        net.zero_grad()
        terms = objective(net(image), label)
        terms["loss"].backward()
        found |= {f"step {step}: {name}": averaged(term) for name, term in terms.items()}
        found |= {f"step {step}: {name}": averaged(p.grad) for name, p in net.named_parameters()}
    found |= {name: b.clone().float() for name, b in (*net.named_buffers(), *objective.named_buffers())}
    found["normalised"] = all_cat(net.features[1](net.features[0](make_batch(0)[0][share])))
    found["all_cat"] = all_cat(make_batch(0)[1][share])
    return found


def one_hot(label: Tensor) -> Tensor:
    """(B, H, W) -> (B, C, H, W)."""
    return F.one_hot(label % 255, CLASSES).permute(0, 3, 1, 2)


def worker(process: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=process,
        world_size=len(SHARES),
        timeout=timedelta(seconds=TIMEOUT),
    )
    assert (rank(), world_size()) == (process, len(SHARES))
    save_file(measure(SHARES[process]), f"{folder}/{process}.safetensors")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def shared_out(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What each of the processes found."""
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("torch was built without gloo")
    folder: Path = tmp_path_factory.mktemp("gloo")
    context = torch.multiprocessing.spawn(worker, (str(folder),), nprocs=len(SHARES), join=False)
    if not context.join(TIMEOUT):
        while not context.join(1):
            for process in context.processes:
                process.kill()
    return [load_file(folder / f"{i}.safetensors") for i in range(len(SHARES))]


def test_two_processes_find_what_one_finds(shared_out: list[dict[str, Tensor]]) -> None:
    """Losses, gradients, the prototype bank and batch statistics, with the batch shared out 2 : 3."""
    alone = measure(slice(None))
    for found in shared_out:
        assert set(found) == set(alone)
        for name, expected in alone.items():
            torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_the_comparison_covers_what_it_means_to(shared_out: list[dict[str, Tensor]]) -> None:
    found = shared_out[0]
    assert 0 < found["ohem, few pixels hard: value"] < 0.3567 < found["ohem, most pixels hard: value"]
    for name in ("step 1: s0", "step 1: cr", "step 1: se", "step 1: features.0.weight"):
        assert found[name].abs().max() > 1e-6, name
    assert found["ce, no label: value"] == 0 and found["seen"].tolist() == [1] * CLASSES


def test_the_processes_agree_bit_for_bit_on_the_bank(shared_out: list[dict[str, Tensor]]) -> None:
    first, second = shared_out
    for name in ("bank", "features.1.running_mean", "features.1.running_var"):
        assert torch.equal(first[name], second[name]), name


def test_alone_everything_is_the_identity() -> None:
    x = torch.randn(3, requires_grad=True)
    assert (rank(), world_size()) == (0, 1)
    assert all_sum(x) is x and torch.equal(all_cat(x), x)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_synced_batch_norm_alone_is_batch_norm(momentum: float | None) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=momentum))
    synced = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=momentum))
    synced.load_state_dict(plain.state_dict())
    weight = synced[1].weight
    sync_batchnorm(synced)
    assert type(synced[1]) is not nn.BatchNorm2d and synced[1].weight is weight
    x = torch.randn(2, 3, 4, 4)
    for _ in range(2):
        assert torch.equal(plain(x), synced(x))
    assert plain.state_dict().keys() == synced.state_dict().keys()
    for a, b in zip(plain.state_dict().values(), synced.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(plain.eval()(x), synced.eval()(x))
