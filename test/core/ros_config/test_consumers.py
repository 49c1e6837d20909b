"""Each output taken apart as its reader does, written anew from what their sources do (docs/consumers.md)."""

from __future__ import annotations

import csv
import io
import struct

import numpy as np
import pytest
import yaml

from sartm_core.preprocess.camera import Camera
from sartm_core.ros_config.files import Classes, files
from sartm_core.runtime.postprocess import probabilities
from sartm_core.scene.cloud import FIELDS, POINT_STEP, cloud
from sartm_core.scene.pictures import color_mask, selected_mask, selection
from sartm_core.scene.run_length import encode
from sartm_core.support.classes import MFNET

CLASSES = Classes.of(MFNET.names, MFNET.palette, None)
FILES = files(CLASSES, "sartm", "mfnet.safetensors")
HEIGHT, WIDTH = 6, 8
INT8, UINT8, INT16, UINT16, INT32, UINT32, FLOAT32, FLOAT64 = range(1, 9)
"""`datatype` of sensor_msgs/PointField."""
INTEGERS = {INT8: "b", UINT8: "B", INT16: "h", UINT16: "H", INT32: "i", UINT32: "I"}
FLOATS = {FLOAT32: "f", FLOAT64: "d"}


@pytest.fixture
def mask() -> np.ndarray:
    """(HEIGHT, WIDTH) with some classes and 255."""
    return np.random.default_rng(1).choice(np.array([0, 1, 2, 3, 255], np.uint8), (HEIGHT, WIDTH))


def points(mask: np.ndarray) -> tuple[bytes, np.ndarray]:
    """The `data` of a cloud on a plane at 2 m, one point missing, and its colours."""
    depth = np.full(mask.shape, 2, np.float32)
    depth[0, 0] = np.nan
    rgb = np.random.default_rng(2).integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
    camera = Camera.of(WIDTH, HEIGHT, (4.0, 0, 3.5, 0, 4.0, 2.5, 0, 0, 1))
    return cloud(mask, depth, camera, rgb).tobytes(), rgb


def test_nav2_takes_the_costliest_class_of_each_cell(mask: np.ndarray) -> None:
    """Iterators over x, y, z as floats, in step with the pixels; points whose z is not finite are passed over."""
    data, _ = points(mask)
    layer = yaml.safe_load(FILES["nav2_semantic_layer.yaml"])["local_costmap"]["local_costmap"]["ros__parameters"]
    source = layer["semantic_segmentation_layer"]["sartm"]
    kinds = [source[name] for name in source["class_types"]]
    costs = {CLASSES.names.index(name): kind["max_cost"] for kind in kinds for name in kind["classes"]}
    assert all(FIELDS[name][1] == FLOAT32 for name in "xyz")
    best: dict[tuple[int, int], int] = {}
    for pixel in range(HEIGHT * WIDTH):
        x, y, z = (struct.unpack_from("f", data, pixel * POINT_STEP + FIELDS[name][0])[0] for name in "xyz")
        if not np.isfinite(z):
            continue
        tile = int(np.floor(x)), int(np.floor(y))
        if tile not in best or costs.get(mask.flat[pixel], 0) > costs.get(mask.flat[best[tile]], 0):
            best[tile] = pixel
    assert 0 not in best.values() and len(best) > 4
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    column, row = np.floor((u - 3.5) / 2), np.floor((v - 2.5) / 2)  # x = (u - 3.5) / 4 * 2 m
    for (i, j), pixel in best.items():
        there = [int(id) for id in mask[(column == i) & (row == j) & ((u > 0) | (v > 0))]]
        assert costs.get(mask.flat[pixel], 0) == max(costs.get(id, 0) for id in there)


def test_hydra_finds_position_colour_and_label(mask: np.ndarray) -> None:
    """x, y, z must be floats, `label` an integer, `rgb` a float or uint32 of bytes B G R; other fields are ignored."""
    data, rgb = points(mask)
    names = {row["label"]: row["name"] for row in yaml.safe_load(FILES["hydra_labelspace.yaml"])["label_names"]}
    for pixel in range(HEIGHT * WIDTH):
        at = {name: (pixel * POINT_STEP + offset, kind) for name, (offset, kind) in FIELDS.items()}
        assert all(at[name][1] in FLOATS for name in "xyz") and at["rgb"][1] in (FLOAT32, UINT32)
        offset, kind = at["label"]
        (label,) = struct.unpack_from("=" + INTEGERS[kind], data, offset)
        assert label == mask.flat[pixel] and (label in names or label == 255)
        blue, green, red = data[at["rgb"][0] : at["rgb"][0] + 3]
        assert [red, green, blue] == rgb.reshape(-1, 3)[pixel].tolist()


def test_readers_of_exact_colours_find_every_label(mask: np.ndarray) -> None:
    """Kimera and older Hydra: colour -> id by a CSV file; a colour that is not in it is an error there."""
    table = {
        tuple(int(row[name]) for name in ("red", "green", "blue")): int(row["id"])
        for row in csv.DictReader(io.StringIO(FILES["hydra_colors.csv"]))
    }
    found = [table[tuple(color)] for color in color_mask(mask, CLASSES.palette).reshape(-1, 3).tolist()]
    assert found == np.where(mask == 255, 0, mask).ravel().tolist()


def test_nvblox_masks_every_pixel_above_0(mask: np.ndarray) -> None:
    chosen = yaml.safe_load(FILES["segment_consumers.yaml"])["/**/segment"]["ros__parameters"]["selected_classes"]
    moving = selected_mask(mask, selection(CLASSES.names, chosen)) > 0
    ids = [CLASSES.names.index(name) for name in ("car", "person", "bike")]
    assert (moving == np.isin(mask, ids)).all()


def test_elevation_mapping_splits_scores_into_its_channels() -> None:
    """cv_bridge gives (h, w, C); as many channels as are named, or the image is dropped; each is averaged by itself."""
    import torch

    values = yaml.safe_load(FILES["elevation_mapping.yaml"])["/elevation_mapping_node"]["ros__parameters"]
    channels = values["subscribers"]["sartm_scores"]["channels"]
    scores = probabilities(torch.randn(len(CLASSES.names), 5, 7), (5, 7), (5, 7)).contiguous().numpy()
    image = np.frombuffer(scores.tobytes(), np.float32).reshape(5, 7, -1)
    assert image.shape[2] == len(channels)
    layers = dict(zip(channels, np.moveaxis(image, 2, 0), strict=True))
    np.testing.assert_allclose(sum(layers.values()), 1, atol=1e-5)
    assert (layers["sem_person"] == scores[..., 2]).all()


def test_autoware_decodes_the_runs(mask: np.ndarray) -> None:
    """Steps of a byte and an int; each run fills pixels row by row."""
    data, found = encode(mask).tobytes(), []
    for at in range(0, len(data), 5):
        found += [data[at]] * int.from_bytes(data[at + 1 : at + 5], "little")
    assert found == mask.ravel().tolist()
