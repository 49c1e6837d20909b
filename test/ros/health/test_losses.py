"""What users lose though masks come: shares refused and their reasons, pairs, masks. Exact clocks."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: pip install '.[ros]', or source a distro")

from sartm_ros.health import pace, shares
from sartm_ros.health.losses import BACKWARDS, Losses
from sartm_ros.health.pace import Pace
from sartm_ros.health.shares import Refused, Share, Unpaired
from sartm_ros.health.work import Work
from sartm_ros.pairing.nearest import RGB, THERMAL, Counters

pytestmark = pytest.mark.alone

EPSILON = 1e-6


def play(share, rate, seconds, begin=0.0, every=0, reason="cut off"):
    """Frames of which every so many-th is refused; the time of the last one."""
    now = begin
    for k in range(round(rate * seconds)):
        now = begin + k / rate
        if every and k % every == 0:
            share.refused(reason, now)
        else:
            share.used(now)
    return now


@pytest.mark.parametrize("rate", [1.0, 9.0, 30.0, 60.0])
@pytest.mark.parametrize("every", [1, 2, 5, 10])
def test_the_share_is_right_from_the_second_refused_frame_on_and_gone_when_it_ends(rate, every):
    share = Share()
    begin = play(share, rate, 10.0)
    assert share.verdict(begin) is None
    seconds = (every + 1) / rate + EPSILON
    now = play(share, rate, seconds, begin + 1 / rate, every)
    assert share.verdict(now) == Refused(pytest.approx(1 / every), "cut off")
    end = play(share, rate, max(1.5, (8 * every + 2) / rate), now + 1 / rate)
    assert share.verdict(end) is None


def test_a_single_frame_is_left_to_the_counters():
    share = Share()
    play(share, 10, 3.0)
    share.refused("cut off", 3.0)
    assert share.verdict(3.5) is None


def test_the_reason_is_the_most_common_one_with_its_last_numbers():
    share = Share()
    for k in range(9):
        share.refused(f"data has {k} bytes" if k % 3 else "odd", k / 10)
    assert share.verdict(0.9).reason == "data has 8 bytes"


def test_words_stay_while_the_share_is_about_the_same():
    told = Refused(0.30, "data has 4 bytes")
    assert Refused(0.38, "data has 7 bytes").told(told) is told
    for other in (Refused(0.41, told.reason), Refused(0.30, "another")):
        assert other.told(told) is other and other.told(None) is other
    assert told.words == "30% refused: data has 4 bytes"


def test_frames_of_a_faster_camera_are_not_unpaired():
    unpaired, counters = Unpaired(), Counters()
    for k in range(20):
        unpaired.mark(counters, k / 4)
        counters.pairs += 2
        counters.dropped[RGB]["superseded"] += 5
    assert unpaired.verdict() is None


@pytest.mark.parametrize("every", [2, 4])
def test_the_share_that_does_not_pair_counts_from_when_it_began(every):
    unpaired, counters = Unpaired(), Counters()
    for k in range(12):  # 3 s of good pairs, then 1 s of bad ones, 16 a second
        unpaired.mark(counters, k / 4)
        counters.pairs += 4
    for k in range(5):
        unpaired.mark(counters, 3 + k / 4)
        counters.pairs += 4 - 4 // every
        counters.dropped[RGB]["no_partner"] += 4 // every
        counters.dropped[THERMAL]["no_partner"] += 4 // every
    assert unpaired.verdict() == Refused(1 / every, shares.UNPAIRED["no_partner"])
    for k in range(20):
        counters.pairs += 4
        unpaired.mark(counters, 5 + k / 4)
    assert unpaired.verdict() is None


def paced(pairs_hz, model_s, every=1, seconds=20.0, sharers=1):
    """What is said when pairs come at a rate and every so many-th one that the model has time for gives a mask."""
    own, masks, free, taken = Pace(), [], 0.0, 0
    own.activate(0.0)
    for k in range(round(seconds * pairs_hz)):
        now = k / pairs_hz
        own.fed(now)
        if now >= free:
            free = now + model_s * sharers
            taken += 1
            masks += [now + model_s] if taken % every == 0 else []
    return own.short([m for m in masks if m <= seconds], [model_s] * len(masks), sharers, seconds)


@pytest.mark.parametrize(("pairs_hz", "model_s"), [(30, 0.01), (30, 0.4), (9, 0.11), (1, 0.01), (60, 0.016), (5, 3.0)])
def test_masks_at_the_rate_of_pairs_or_of_the_model_are_enough(pairs_hz, model_s):
    assert paced(pairs_hz, model_s, seconds=60.0) == ""
    assert paced(pairs_hz, model_s, seconds=60.0, sharers=3) == "", "nodes that take turns"


@pytest.mark.parametrize(("pairs_hz", "model_s"), [(30, 0.01), (30, 0.4), (9, 0.11)])
def test_masks_well_below_both_are_told(pairs_hz, model_s):
    said = paced(pairs_hz, model_s, every=4, seconds=60.0)
    assert "masks come at" in said and "the model alone could make" in said


def test_after_a_pause_the_pace_is_judged_anew():
    own = Pace()
    own.activate(0.0)
    for k in range(200):
        own.fed(k / 20)
    assert own.short([5.0] * 8, [0.01] * 8, 1, 10.0)
    own.restart(9.0)
    assert own.short([5.0] * 8, [0.01] * 8, 1, 10.0) == ""


def test_random_losses_do_not_make_the_verdict_flicker():
    rng, share, verdicts = random.Random(1), Share(), []
    for k in range(3000):
        now = k / 10
        share.refused("lost", now) if rng.random() < 0.2 else share.used(now)
        verdicts.append(share.verdict(now) is not None)
    changes = sum(a != b for a, b in zip(verdicts[100:], verdicts[101:], strict=False))
    assert sum(verdicts[100:]) > 0.97 * len(verdicts[100:]) and changes < 30, changes


def test_the_text_of_too_few_masks_is_a_state():
    from sartm_ros.node import reference

    assert pace.TOO_FEW in {text for text, _ in reference.STATES}


def stamps(*listed):
    """What is told of frames with these stamps, 10 a second."""
    losses = Losses(Work())
    for k, stamp in enumerate(listed):
        losses.arrived(RGB, stamp, k / 10)
    losses.look(None, False, 1, len(listed) / 10)
    return losses.refused[RGB]


def test_stamps_that_go_backwards_are_refused_frames_and_a_bag_that_begins_anew_is_none():
    odd = [k if k % 4 else k - 2 for k in range(40)]
    assert stamps(*odd) == Refused(pytest.approx(0.25), BACKWARDS)
    assert stamps(*3 * list(range(20))) is None and stamps(*[7] * 30) is None
