"""Adapters side by side: one base in memory, switched by name, each with the masks it has alone."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.config import PreprocessConfig, ThermalNorm
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.engines.sharing import Shared
from sartm_core.runtime.graph.graph import FoldedSARTM
from sartm_core.runtime.network import Network
from sartm_core.runtime.segmenter import Segmenter
from test.core.conftest import PLAIN, make_frames, make_model, train_lora

UNDERGROUND = ("unlabeled", "survivor", "backpack")


SMALL = PreprocessConfig(input_size=(64, 96))


def adapted(seed: int, preprocess: PreprocessConfig = SMALL, **changes) -> SARTM:
    """A model on the common base with adapters, heads and preprocessing of its own."""
    base, model = make_model(), train_lora(make_model(**changes))
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora" in name or name.startswith(("fusion", "mask_decoder")):
            torch.nn.init.normal_(parameter, std=0.1)
    kept = {k: v for k, v in base.state_dict().items() if k.startswith("encoder") and "lora" not in k}
    model.load_state_dict(kept, strict=False)
    model.info = replace(model.info, preprocess=preprocess)
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Of different classes, input sizes and thermal normalisation."""
    folder = tmp_path_factory.mktemp("adapters")
    square = PreprocessConfig(input_size=(64, 64), thermal=ThermalNorm("range", 20.0, 90.0))
    large = PreprocessConfig(input_size=(96, 128), thermal=ThermalNorm("unit"))
    return [
        adapted(1).save(folder / "urban.safetensors"),
        adapted(2, square, classes=UNDERGROUND).save(folder / "underground.safetensors"),
        adapted(3, large).save(folder / "forest.safetensors"),
    ]


@pytest.fixture(scope="module")
def loaded(files) -> Segmenter:
    return Segmenter.load(files[0], **PLAIN, adapters=files[1:])


@pytest.fixture
def segmenter(loaded: Segmenter) -> Segmenter:
    loaded.set_adapter("urban")
    return loaded


@pytest.fixture(scope="module")
def alone(files) -> dict[str, Segmenter]:
    return {file.stem: Segmenter.load(file, **PLAIN) for file in files}


def same(a, b) -> bool:
    return np.array_equal(a.mask, b.mask) and np.array_equal(a.confidence, b.confidence)


def test_each_adapter_gives_what_its_file_gives_alone(alone, segmenter: Segmenter) -> None:
    frames = make_frames()
    results = []
    for name in [*alone, *reversed(alone)]:  # there and back
        segmenter.set_adapter(name)
        expected, result = alone[name], segmenter(*frames)
        assert same(result, expected(*frames))
        assert torch.equal(segmenter.logits(*frames, (48, 64)), expected.logits(*frames, (48, 64)))
        assert (segmenter.name, segmenter.adapter, segmenter.sha256) == (name, name, expected.sha256)
        assert (segmenter.classes, segmenter.palette) == (expected.classes, expected.palette)
        assert result.adapter == name and segmenter.preprocess == expected.preprocess
        results.append(result)
    assert not same(results[0], results[1]) and not same(results[0], results[2])


def test_compiled_adapters_give_what_they_give_alone(files) -> None:
    pytest.importorskip("openvino")
    options, frames = PLAIN | {"engine": "openvino"}, make_frames(64, 96)
    segmenter = Segmenter.load(files[0], **options, adapters=files[1:2])
    before = segmenter(*frames)
    segmenter.set_adapter("underground")
    assert same(segmenter(*frames), Segmenter.load(files[1], **options)(*frames))
    segmenter.set_adapter("urban")
    assert same(segmenter(*frames), before)


def test_a_batch_may_mix_adapters(alone, segmenter: Segmenter) -> None:
    rgb, thermal = make_frames()
    names = [None, "underground", "forest", "underground", None]
    results = segmenter.batch([FramePair(rgb, thermal, adapter=name) for name in names])
    for name, result in zip(names, results, strict=True):
        assert np.array_equal(result.mask, alone[name or "urban"](rgb, thermal).mask)
    assert segmenter.adapter == "urban"


def folded(network: Network) -> FoldedSARTM:
    """What a network of engine torch runs."""
    found: object = network._run
    for name in ("network", "build", "folded"):
        found = inspect.getclosurevars(found).nonlocals[name]
    assert isinstance(found, FoldedSARTM)
    return found


def test_a_loaded_segmenter_has_the_base_once(segmenter: Segmenter) -> None:
    first, *others = (dict(folded(network).named_parameters()) for network in segmenter.adapters.values())
    base = [name for name in first if name.startswith("trunk") and name.endswith((".up.weight", ".down.weight"))]
    assert len(base) == 20
    for other in others:
        assert all(other[name].data_ptr() == first[name].data_ptr() for name in base)


def test_what_adapters_have_in_common_is_in_memory_once(files) -> None:
    """By address: a second adapter brings its own adapters, fusion and decoder, and nothing of the base."""
    shared = Shared()
    first, second = (shared.among(FoldedSARTM(adapted(seed))) for seed in (1, 2))
    before = {name: tensor.clone() for name, tensor in FoldedSARTM(adapted(2)).named_parameters()}
    addresses = {name: parameter.data_ptr() for name, parameter in first.named_parameters()}
    once = {name for name, parameter in second.named_parameters() if parameter.data_ptr() == addresses[name]}
    own = {name for name in before if name not in once}
    assert all(torch.equal(parameter, before[name]) for name, parameter in second.named_parameters())
    assert {name for name in own if name.startswith("trunk")} == {name for name in before if name.endswith(".qkv")}
    assert sum(name.endswith((".up.weight", ".down.weight", ".proj.weight")) for name in once) >= 3 * len(
        first.trunk.blocks
    )


def test_unknown_adapter_is_named_with_the_nearest(segmenter: Segmenter) -> None:
    with pytest.raises(
        ValueError, match="adapter: got .underground2., expected one of urban, underground, forest; did"
    ):
        segmenter.set_adapter("underground2")
    with pytest.raises(ValueError, match="adapter: got 'sea'"):
        segmenter.batch([FramePair(*make_frames(), adapter="sea")])
    assert segmenter.adapter == "urban"


def test_two_files_of_one_name_are_refused(files, tmp_path) -> None:
    other = adapted(4).save(tmp_path / "urban.safetensors")
    with pytest.raises(
        ValueError, match=r"adapters: .*urban\.safetensors and .*urban\.safetensors are both called 'urban'"
    ):
        Segmenter.load(files[0], **PLAIN, adapters=[other])


def test_files_may_be_given_names(files, tmp_path) -> None:
    """Trained files are all called weights.safetensors."""
    segmenter = Segmenter.load(files[0], **PLAIN, adapters={"town": files[0], "wood": files[2]})
    assert list(segmenter.adapters) == ["urban", "town", "wood"]
    segmenter.set_adapter("wood")
    assert segmenter.name == "wood" and segmenter(*make_frames()).adapter == "wood"


def test_one_file_needs_no_list(files) -> None:
    assert list(Segmenter.load(files[0], **PLAIN, adapters=files[2]).adapters) == ["urban", "forest"]


def test_a_missing_adapter_file_is_named(files) -> None:
    with pytest.raises(FileNotFoundError, match=r"adapters: nowhere: .*no file nowhere\.safetensors"):
        Segmenter.load(files[0], **PLAIN, adapters=["nowhere.safetensors"])


def test_check_finds_the_damaged_adapter(files, tmp_path) -> None:
    model = adapted(5)
    with torch.no_grad():
        for parameter in model.fusion.parameters():
            parameter.fill_(3e37)  # finite: the scores are not
    damaged = model.save(tmp_path / "damaged.safetensors")
    with pytest.raises(ValueError, match="^damaged: "):
        Segmenter.load(files[0], **PLAIN, adapters=[damaged]).check(*make_frames())


def test_input_size_is_that_of_all(files) -> None:
    segmenter = Segmenter.load(files[0], **PLAIN, adapters=files[1:2])
    segmenter.set_input_size((64, 64))
    assert {network.preprocess.input_size for network in segmenter.adapters.values()} == {(64, 64)}


def test_prepared_inputs_are_those_of_the_adapter(alone, segmenter: Segmenter) -> None:
    pair = FramePair(*make_frames(), adapter="underground")
    scores = segmenter.scores(segmenter.inputs(pair), "underground")
    assert torch.equal(scores, alone["underground"].scores(alone["underground"].inputs(FramePair(*make_frames()))))
    with pytest.raises(ValueError, match="adapter: got 'sea'"):
        segmenter.inputs(FramePair(*make_frames(), adapter="sea"))


def test_preprocessing_can_be_set(files) -> None:
    segmenter = Segmenter.load(files[0], **PLAIN)
    segmenter.preprocess = replace(segmenter.preprocess, input_size=(32, 64))
    assert segmenter.input_size == (32, 64) and segmenter(*make_frames()).mask.shape == (48, 64)


def test_switching_while_other_threads_segment_mixes_nothing(segmenter: Segmenter) -> None:
    frames, names = make_frames(), list(segmenter.adapters)
    expected = {name: segmenter.batch([FramePair(*frames, adapter=name)])[0] for name in names}

    def work(k: int) -> bool:
        segmenter.set_adapter(names[k % 3])
        result = segmenter(*frames)
        return same(result, expected[result.adapter])

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(work, range(24)))
