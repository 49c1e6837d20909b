"""Files of `torch.save` as training programs leave them: what is around the weights is taken off, no code is run."""

from __future__ import annotations

import argparse
import os
from collections import OrderedDict, defaultdict
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sartm_core.support.torch_file import load_plainly, read_torch, shared_prefix, unwrapped


class Net(nn.Module):
    """A network whose trunk may be wrapped."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(2, 3)
        self.head = nn.Linear(3, 1)


class Around(nn.Module):
    """What Lightning's users write around a network."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


def compiled(module: nn.Module) -> nn.Module:
    return torch.compile(module, backend="eager")


WRAPPED = {
    "DataParallel": (nn.DataParallel, ["module"]),
    "compiled": (compiled, ["_orig_mod"]),
    "Lightning": (Around, ["model"]),
    "Lightning of compiled of DataParallel": (
        lambda net: Around(compiled(nn.DataParallel(net))),
        ["model", "_orig_mod", "module"],
    ),
    "DataParallel of compiled of Lightning": (
        lambda net: nn.DataParallel(compiled(Around(net))),
        ["module", "_orig_mod", "model"],
    ),
    "averaged": (torch.optim.swa_utils.AveragedModel, ["module"]),
}
CONTAINERS = {
    "alone": lambda state: state,
    "model": lambda state: {"model": state},
    "Lightning": lambda state: {"state_dict": state, "epoch": 3, "optimizer_states": [{}]},
    "model in state_dict": lambda state: {"state_dict": {"model": state}},
    "state_dict in model": lambda state: {"model": {"state_dict": state}},
    "ema": lambda state: {"ema": state, "step": 7},
}


def write(content: Any, tmp_path: Path, **options: Any) -> Path:
    path = tmp_path / "file.pt"
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.parametrize("container", CONTAINERS)
def test_wrappers_and_containers_are_taken_off(tmp_path: Path, kind: str, container: str) -> None:
    net = Net()
    wrap, words = WRAPPED[kind]
    state = wrap(net).state_dict()
    file = read_torch(write(CONTAINERS[container](state), tmp_path))
    assert {name: tensor.tolist() for name, tensor in file.tensors.items()} == {
        name: tensor.tolist() for name, tensor in net.state_dict().items()
    }
    assert {file.names[name] for name in file.tensors} == set(state) - {"n_averaged"}
    said = " ".join(file.notes)
    assert all(f"begin with '{word}.'" in said for word in words)
    assert ("not read" in said) == (container in ("Lightning", "ema"))


def test_a_part_that_was_compiled(tmp_path: Path) -> None:
    net = Net()
    net.trunk = compiled(net.trunk)  # type: ignore[assignment]
    assert read_torch(write(net.state_dict(), tmp_path)).tensors.keys() == Net().state_dict().keys()


def test_of_two_sets_of_weights_the_model_is_taken_and_it_is_said(tmp_path: Path) -> None:
    state = {name: Net().state_dict() for name in ("ema", "model")}
    file = read_torch(write(state, tmp_path))
    assert torch.equal(file.tensors["head.bias"], state["model"]["head.bias"])
    assert file.notes == ("the weights are those in the entry 'model'; not read: 'ema' (OrderedDict)",)


def test_names_that_only_look_wrapped_stay() -> None:
    mixed = ["module.trunk.weight", "head.weight"]
    assert unwrapped(mixed) == ({name: name for name in mixed}, [])
    clash = ["trunk.weight", "trunk._orig_mod.weight"]
    assert unwrapped(clash) == ({name: name for name in clash}, [])
    assert unwrapped(["model"]) == ({"model": "model"}, [])
    assert unwrapped(["sam.trunk.weight"])[1] == []
    assert shared_prefix(dict.fromkeys(["a.b.c", "a.b.d.e"])) == "a.b."
    assert shared_prefix(dict.fromkeys(["a.b", "c.b"])) == shared_prefix({}) == ""


@pytest.mark.parametrize("zipped", [True, False])
def test_settings_beside_the_weights_do_no_harm(tmp_path: Path, zipped: bool) -> None:
    args = argparse.Namespace(lr=1e-4, data=Path("/data"), best=np.float64(0.5), count=np.int64(3), by=OrderedDict())
    args.curve, args.kind = np.arange(3.0), np.dtype("float32")
    path = write({"model": Net().state_dict(), "args": args}, tmp_path, _use_new_zipfile_serialization=zipped)
    assert read_torch(path).tensors.keys() == Net().state_dict().keys()
    found = load_plainly(path)["args"]
    assert (found.best, found.count, found.curve.tolist()) == (0.5, 3, [0, 1, 2])
    assert isinstance(found.data, PurePath) and str(found.data) == "/data"


class Hyper:
    """A class of some training program."""


class Runs:
    """Runs code when it is unpickled."""

    def __init__(self, call: Any, *args: Any) -> None:
        self.call = (call, args)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("beside", "named"),
    [
        (Hyper(), "test_torch_file.Hyper"),
        (argparse.Namespace(inner=[Hyper()]), "test_torch_file.Hyper"),
        (Net(), "test_torch_file.Net"),
        (Runs(os.mkdir, "made"), "posix.mkdir"),
        (Runs(Path.touch, Path("made")), "getattr"),
        (Runs(eval, "open('made', 'w')"), "eval"),
        (defaultdict(list), "collections.defaultdict"),
    ],
    ids=["object", "in arguments", "network", "system", "path", "eval", "dictionary"],
)
def test_what_needs_code_is_refused_by_name(tmp_path: Path, monkeypatch, beside, named: str, zipped: bool) -> None:
    monkeypatch.chdir(tmp_path)
    path = write({"model": Net().state_dict(), "x": beside}, tmp_path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=rf"file.pt: beside plain tensors it holds a [\w.]*{named}, .* weights_only=F"):
        read_torch(path)
    assert not (tmp_path / "made").exists()


def test_an_object_of_omegaconf_is_named(tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    path = write({"model": Net().state_dict(), "cfg": OmegaConf.create({"lr": 1})}, tmp_path)
    with pytest.raises(ValueError, match=r"it holds a omegaconf\.\w+\.\w+, which only code can make"):
        read_torch(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([1, 2], "holds a list, expected a state dict"),
        ({}, "holds no tensors"),
        ({"weights": {}}, "entry 'weights' is a dict, expected tensors alone"),
        ({"model": {"epoch": 3}}, "entry 'model.epoch' is a int"),
        ({"model": {1: torch.ones(1)}}, "entry 'model.1' is a Tensor"),
    ],
)
def test_what_holds_no_weights_is_named(tmp_path: Path, content: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=f"file.pt: {expected}"):
        read_torch(write(content, tmp_path))


def test_a_broken_file_is_named_in_plain_text(tmp_path: Path) -> None:
    path = write(Net().state_dict(), tmp_path)
    for content in (b"<html>", b"", path.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="file.pt: not a PyTorch weights file") as refused:
            read_torch(path)
        assert "\x1b" not in str(refused.value) and "\n" not in str(refused.value)
