"""Components by runs against a flood fill, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sartm_core.scene.components import components


def flooded(mask: np.ndarray) -> list[tuple[int, frozenset[tuple[int, int]]]]:
    """Class and pixels (y, x) of each component, in raster order of the first pixel."""
    height, width = mask.shape
    seen: set[tuple[int, int]] = set()
    found = []
    for y, x in np.ndindex(mask.shape):
        if (y, x) in seen or mask[y, x] in (0, 255):
            continue
        todo, members = [(y, x)], {(y, x)}
        while todo:
            v, u = todo.pop()
            for j in range(max(v - 1, 0), min(v + 2, height)):
                for i in range(max(u - 1, 0), min(u + 2, width)):
                    if mask[j, i] == mask[y, x] and (j, i) not in members:
                        members.add((j, i))
                        todo.append((j, i))
        seen |= members
        found.append((int(mask[y, x]), frozenset(members)))
    return found


masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 255]))
)


@settings(max_examples=150, deadline=None)
@given(mask=masks)
def test_every_component_is_that_of_a_flood_fill(mask: np.ndarray) -> None:
    found, expected = components(mask), flooded(mask)
    labels = found.labels()
    of_label = [frozenset(map(tuple, np.argwhere(labels == n).tolist())) for n in range(len(found.ids))]
    assert list(zip(found.ids.tolist(), of_label, strict=True)) == expected
    weights = np.arange(mask.size, dtype=np.int32).reshape(mask.shape)
    boxes, centroids, sums = found.boxes(), found.centroids(), found.sums(weights)
    for n, (_, members) in enumerate(expected):
        y, x = np.array(sorted(members)).T
        assert found.pixels[n] == len(members)
        assert boxes[n].tolist() == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        np.testing.assert_allclose(centroids[n], (x.mean(), y.mean()), rtol=1e-12)
        assert sums[n] == weights[y, x].sum()


def test_a_spiral_is_one_component() -> None:
    """The longest way that equality has to travel: every turn joins runs that were apart so far."""
    size = 41
    mask = np.zeros((size, size), np.uint8)
    x, y, dx, dy = 0, 0, 1, 0
    for length in [size - 1, *(n for n in range(size - 1, 1, -2) for _ in range(2))]:
        for _ in range(length):
            mask[y, x] = 1
            x, y = x + dx, y + dy
        dx, dy = -dy, dx
    found = components(mask)
    assert found.pixels.tolist() == [np.count_nonzero(mask)] and len(flooded(mask)) == 1


def test_small_ones_are_left_out_and_the_others_keep_their_order() -> None:
    mask = np.array([[1, 0, 2, 2], [0, 0, 2, 0], [3, 3, 0, 0]], np.uint8)
    found = components(mask, min_pixels=2)
    assert found.ids.tolist() == [2, 3] and found.pixels.tolist() == [3, 2]
    assert found.labels().tolist() == [[-1, -1, 0, 0], [-1, -1, 0, -1], [1, 1, -1, -1]]


def test_a_mask_of_nothing_has_no_components() -> None:
    found = components(np.full((4, 5), 255, np.uint8))
    assert len(found.ids) == 0 and found.boxes().shape == (0, 4) and found.centroids().shape == (0, 2)
    assert (found.labels() == -1).all() and found.sums(np.ones((4, 5), np.uint8)).shape == (0,)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"mask: got shape \(2, 2\) float64"):
        components(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="min_pixels: got 0"):
        components(np.ones((2, 2), np.uint8), min_pixels=0)
