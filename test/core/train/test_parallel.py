"""Many processes see what one would: the same batches, losses, prototypes and scores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartm_core.train import __main__ as train
from sartm_core.train.loading import EpochBatches
from test.core.runs import command, environment, history, write_config


@given(
    length=st.integers(8, 50), per=st.integers(1, 3), accumulate=st.integers(1, 3), world=st.integers(1, 4),
    epoch=st.integers(0, 3),
)  # fmt: skip
def test_processes_share_the_batches_of_one(length: int, per: int, accumulate: int, world: int, epoch: int) -> None:
    size = per * accumulate * world
    if size > length:
        with pytest.raises(ValueError, match="there are only"):
            EpochBatches(length, size, seed=5)
        return
    alone = EpochBatches(length, size, seed=5)
    parts = [EpochBatches(length, size, 5, accumulate, rank, world) for rank in range(world)]
    for batches in (alone, *parts):
        batches.set_epoch(epoch)
    assert {len(p) for p in parts} == {len(alone) * accumulate}
    micro = [sum(batches, []) for batches in zip(*parts, strict=True)]
    whole = [sum(micro[i : i + accumulate], []) for i in range(0, len(micro), accumulate)]
    assert [sorted(batch) for batch in whole] == [sorted(batch) for batch in alone]
    drawn = [index for batch in alone for _, index in batch]
    assert len(set(drawn)) == len(drawn), "no frame twice in an epoch"


@given(start=st.integers(0, 5))
def test_resumed_batches_are_the_rest_of_the_epoch(start: int) -> None:
    whole, rest = EpochBatches(12, 2, seed=1), EpochBatches(12, 2, seed=1)
    whole.set_epoch(3)
    rest.resume(3, start)
    assert list(rest) == list(whole)[start:] and len(rest) == 6
    rest.set_epoch(4)
    assert len(list(rest)) == 6, "the next epoch is a whole one"


def test_indivisible_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size: 6 in 1 micro-batches does not divide among 4 processes"):
        EpochBatches(20, 6, 0, 1, 0, 4)


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    """Real gloo processes under torchrun: losses, prototypes, batch statistics and scores are reduced over both."""
    config = write_config(
        tmp_path,
        trainer={"batch_size": 4, "max_epochs": 3, "val_batch_size": 2},
        optim={"ema_decay": 0.0, "lr": 1e-4},
        data={"repeat": 2},
        loss={"w2": 10.0, "class_weights": [1.0, 2.0, 3.0, 4.0]},
    )
    assert train.main(command(config, tmp_path / "one")) == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    done = subprocess.run(
        [*launch, "sartm_core.train", *command(config, tmp_path / "two", "--trainer.threads", "1")],
        env=environment(), timeout=200, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for one, two in zip(history(tmp_path / "one"), history(tmp_path / "two"), strict=True):
        assert one.keys() == two.keys()
        for term in ("loss", "s0", "s1", "cr"):
            assert two[term] == pytest.approx(one[term], rel=1e-4, abs=1e-7), term
        assert two["folder"]["miou"] == pytest.approx(one["folder"]["miou"], abs=5e-3)
    banks = [np.load(tmp_path / run / "prototypes" / "epoch_0001.npz")["bank"] for run in ("one", "two")]
    np.testing.assert_allclose(banks[0], banks[1], rtol=1e-3, atol=1e-4)
