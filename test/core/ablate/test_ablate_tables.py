"""What the ablation tables vary, what the paper prints, and the statistics."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sartm_core.ablate.grid import differences, effective, overridden
from sartm_core.ablate.runner import clock
from sartm_core.ablate.statistics import paired, summarize
from sartm_core.ablate.tables import TABLES, Variant
from sartm_core.support.fields import from_dict
from sartm_core.train.config import TrainConfig
from test.core.ablate.test_ablate import CONFIG


def variants(table: str, **changes: Any) -> dict[str, Variant]:
    config = overridden(from_dict(TrainConfig, CONFIG), changes)
    return {variant.name: variant for variant in TABLES[table].variants(config, {})}


def overrides(table: str) -> dict[str, dict[str, Any]]:
    return {name: dict(variant.overrides) for name, variant in variants(table).items()}


def test_table_4_varies_the_rank() -> None:
    assert overrides("rank") == {f"rank_{r}": {"model.lora_rank": r} for r in (4, 8, 16, 32, 64)}


def test_table_5_takes_language_and_head_away() -> None:
    assert overrides("components") == {
        "full": {},
        "without_language": {"loss.w3": 0},
        "without_aux_head": {"model.aux_head": "none"},
    }


def test_table_6_adds_term_by_term() -> None:
    assert overrides("losses") == {
        "ce_s0": {"loss.w1": 0, "loss.w2": 0, "loss.w3": 0},
        "ce_s0_s1": {"loss.w2": 0, "loss.w3": 0},
        "cr": {"loss.w3": 0},
        "cr_se": {},
    }
    assert [v.reference for v in variants("losses").values()] == [None, "ce_s0", "ce_s0_s1", "cr"]


def test_table_7_is_one_sweep_after_the_other() -> None:
    """w1 alone, w2 beside the w1 that was best, w3 beside both: MFNet's best w2 row is Table V's without language."""
    config = from_dict(TrainConfig, CONFIG)
    weights = {
        name: (c.loss.w1, c.loss.w2, c.loss.w3)
        for name, o in overrides("weights").items()
        for c in (overridden(config, o),)
    }
    assert len(weights) == 15
    assert weights["w1_0.05"] == (0.05, 0, 0) and weights["w1_0.002"] == (0.002, 0, 0)
    assert weights["w2_10"] == (0.008, 10, 0) and weights["w2_100000"] == (0.008, 1e5, 0)
    assert weights["w3_1"] == (0.008, 1e4, 1) and weights["w3_1000"] == (0.008, 1e4, 1000)
    references = {v.reference or v.name for v in variants("weights").values()}
    assert references == {"w1_0.008", "w2_10000", "w3_100"}, "the configuration's own values"


def test_table_8_is_without_language() -> None:
    assert overrides("head") == {
        name: {"model.aux_head": name, "loss.w3": 0} for name in ("fpn", "deeplab", "segformer")
    }
    references = {v.name: v.reference for v in variants("head", **{"model.aux_head": "deeplab"}).values()}
    assert references == {"fpn": "deeplab", "deeplab": None, "segformer": "deeplab"}


@pytest.mark.parametrize("table", sorted(name for name, table in TABLES.items() if table.paper.number))
def test_every_row_has_its_number_in_the_paper(table: str) -> None:
    paper = TABLES[table].paper
    assert set(paper.rows) == set(variants(table))
    assert all(set(values) == set(paper.metrics) for row in paper.rows.values() for values in row.values())


def test_the_numbers_that_tell_how_the_paper_did_it() -> None:
    components, weights, head, losses, rank = (
        TABLES[name].paper for name in ("components", "weights", "head", "losses", "rank")
    )
    assert head.value("fpn", "fmb", "miou") == components.value("without_language", "fmb", "miou")
    assert weights.value("w2_10000", "mfnet", "miou") == components.value("without_language", "mfnet", "miou")
    assert weights.value("w3_100", "mfnet", "miou") == components.value("full", "mfnet", "miou")
    assert rank.value("rank_16", "pst900", "miou") == losses.value("cr_se", "pst900", "miou")


def test_configurations_that_train_the_same_are_equal() -> None:
    config = from_dict(TrainConfig, CONFIG)
    assert effective(overridden(config, {"loss.teacher": "none"})) == effective(overridden(config, {"loss.w3": 0.0}))
    assert effective(overridden(config, {"loss.w3": 1.0})) != effective(config)


def test_differences_are_named_by_their_dotted_name() -> None:
    odd = differences({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "d": None})
    assert odd == [("a.c", 2, 5), ("d", 3, None)]


def test_means_and_paired_differences_by_hand() -> None:
    """2, 4, 9: mean 5, squared deviations 9 + 1 + 16 = 26, sd sqrt(26 / 2)."""
    summary = summarize([2.0, 4.0, 9.0])
    assert summary is not None and (summary.mean, summary.n) == (5.0, 3)
    assert summary.sd == pytest.approx(math.sqrt(13))
    assert summarize([]) is None
    alone = summarize([3.5])
    assert alone is not None and alone.sd is None, "one run has no scatter"
    difference = paired({0: 2.0, 1: 4.0, 5: 9.0}, {1: 1.0, 0: 1.0, 7: 0.0})
    assert difference is not None and (difference.mean, difference.n) == (2.0, 2)
    assert difference.sd == pytest.approx(math.sqrt(2))
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_durations_are_for_people() -> None:
    assert [clock(s) for s in (40, 59.6, 420, 3599, 7500)] == ["40 s", "60 s", "7 min", "1 h 00 min", "2 h 05 min"]
