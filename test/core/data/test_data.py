"""Frames on disk, augmentation and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sartm_core.data.checked import ANY, CheckedFrames, some_pixel
from sartm_core.data.datasets import open_pairs
from sartm_core.data.images import read_image
from sartm_core.data.layouts.folder import FolderPairs
from sartm_core.data.layouts.mfnet import MFNetImages
from sartm_core.data.scenes import FixedScenes, RandomScenes
from sartm_core.data.transforms import Frame, scale_and_crop, shift_thermal
from sartm_core.support.classes import MFNET, remap_table
from sartm_core.support.fields import from_dict
from sartm_core.synthetic import SceneConfig
from sartm_core.train.config import TrainConfig
from sartm_core.train.frames import TrainingFrames
from sartm_core.train.loading import by_size, training_loader, validation_loaders

SMALL = {
    "model": {"backbone": "hiera_nano", "classes": ["unlabeled", "car", "person", "bike"], "train_encoder": True},
    "preprocess": {"input_size": [64, 96]},
    "trainer": {"batch_size": 2},
}


def write_folder(root: Path, names: tuple[str, ...] = ("00001D", "00002N"), size: tuple[int, int] = (48, 64)) -> Path:
    """Pairs with labels and a split file; thermal is 16 bit and of half the size."""
    rng = np.random.default_rng(0)
    for kind in ("rgb", "thermal", "labels"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(root / "rgb" / f"{name}.jpg")
        Image.fromarray(rng.integers(28000, 31000, (size[0] // 2, size[1] // 2), np.uint16)).save(
            root / "thermal" / f"{name}.png"
        )
        Image.fromarray(rng.integers(0, 4, size, np.uint8)).save(root / "labels" / f"{name}.png")
    for split in ("train", "val"):
        (root / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


def config_for(root: Path | None, **data) -> TrainConfig:
    settings = {"crop_size": [32, 64], "workers": 0, "synthetic_train": 0, "synthetic_val": 0, **data}
    if root:
        settings |= {"dataset": "folder", "root": str(root)}
    return from_dict(TrainConfig, {**SMALL, "data": settings})


def test_folder_of_pairs(tmp_path: Path) -> None:
    frames = open_pairs(write_folder(tmp_path), "val")
    assert isinstance(frames, FolderPairs) and frames.names == ["00001D", "00002N"]
    sample = frames[0]
    assert sample.rgb.shape == (48, 64, 3) and sample.rgb.dtype == np.uint8
    assert sample.thermal.shape == (24, 32) and sample.thermal.dtype == np.uint16 and sample.thermal.min() >= 28000
    assert sample.label.shape == (48, 64)


def test_mfnet_as_published(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 4), np.uint8)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.fromarray(image, "RGBA").save(tmp_path / "images" / "00001D.png")
    label = Image.fromarray(np.full((48, 64), 2, np.uint8), "P")
    label.putpalette([0, 0, 0, 64, 0, 128, 64, 64, 0])
    label.save(tmp_path / "labels" / "00001D.png")
    frames = open_pairs(tmp_path)
    assert isinstance(frames, MFNetImages)
    np.testing.assert_array_equal(frames[0].rgb, image[..., :3])
    np.testing.assert_array_equal(frames[0].thermal, image[..., 3])
    assert (frames[0].label == 2).all(), "ids of an index PNG, not its colours"


def test_broken_data_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        open_pairs(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds nothing; expected"):
        open_pairs(tmp_path)
    root = write_folder(tmp_path / "a")
    (root / "thermal" / "00002N.png").unlink()
    with pytest.raises(ValueError, match=r"thermal: no image for 1 of 2 names, first '00002N'"):
        open_pairs(root)
    with pytest.raises(ValueError, match=r"test\.txt: no such file"):
        open_pairs(root, "test")
    (root / "rgb" / "00001D.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"00001D\.jpg: not a readable image"):
        read_image(root / "rgb" / "00001D.jpg")
    (tmp_path / "b" / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "b" / "images" / "x.png")
    with pytest.raises(ValueError, match=r"expected \(H, W, 4\)"):
        open_pairs(tmp_path / "b")[0]


def test_remap_by_name() -> None:
    table = remap_table(MFNET.names, ("unlabeled", "person", "bike"))
    assert table[[0, 1, 2, 3, 8]].tolist() == [0, 0, 1, 2, 0]
    assert table[9] == table[255] == 255


def coordinates_frame(height: int, width: int) -> Frame:
    """Every image holds its own column number: what moves together stays equal."""
    columns = torch.arange(width).expand(1, height, width)
    return Frame(columns.expand(3, -1, -1).to(torch.uint8), columns.float(), columns.to(torch.uint8))


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_crop_moves_all_three_images_together(scale: float) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        frame = coordinates_frame(60, 90)
        scale_and_crop(frame, (32, 64), (scale, scale))
        assert (
            frame.rgb.shape == (3, 32, 64) and frame.thermal.shape == (1, 32, 64) and frame.label.shape == (1, 32, 64)
        )
        border = torch.nn.functional.max_pool2d(
            (frame.label == 255).float(), 5, stride=1, padding=2
        )  # unknown, grown by 2
        inner = (border == 0) & (frame.label > 3) & (frame.label < 86)
        assert inner.any()
        assert (frame.thermal[inner] - frame.label[inner]).abs().max() <= 2
        assert (frame.rgb[:1][inner].float() - frame.label[inner]).abs().max() <= 2


def test_zooming_out_marks_the_border_as_unknown() -> None:
    frame = coordinates_frame(32, 32)
    scale_and_crop(frame, (32, 32), (0.5, 0.5))
    assert (frame.label == 255).float().mean() == pytest.approx(0.75, abs=0.05)


def test_focused_crops_hold_a_labelled_pixel() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        frame = coordinates_frame(200, 200)
        frame.label = torch.zeros(1, 200, 200, dtype=torch.uint8)
        frame.label[0, 180:184, 20:24] = 3
        frame.label[0, :2] = 255  # unknown is no class
        scale_and_crop(frame, (32, 32), (1.0, 1.0), some_pixel(frame.label[0].numpy(), ANY))
        assert (frame.label == 3).any()
    assert some_pixel(np.zeros((64, 64), np.uint8), ANY) is None


def test_the_pixel_of_a_crop_stays_in_it_when_the_window_is_larger_than_the_frame() -> None:
    for seed in range(10):
        torch.manual_seed(seed)
        frame = coordinates_frame(20, 200)
        frame.label = torch.zeros(1, 20, 200, dtype=torch.uint8)
        frame.label[0, 17:20, 190:200] = 3
        scale_and_crop(frame, (32, 32), (0.7, 0.7), (18, 195))
        assert (frame.label == 3).any()


def test_shift_moves_thermal_only() -> None:
    torch.manual_seed(1)
    frame = coordinates_frame(20, 30)
    shift_thermal(frame, 4.0)
    shift = (frame.thermal - frame.label)[0, 10, 5:25]
    assert shift.unique().numel() == 1 and 0 < shift[0].abs() <= 4
    assert torch.equal(frame.rgb[:1], frame.label)


def test_training_items_and_loaders(tmp_path: Path) -> None:
    config = config_for(
        write_folder(tmp_path), repeat=2, synthetic_train=1, darken=1.0, blur=1.0, thermal_jitter=0.5, thermal_shift=2.0
    )
    loader = training_loader(config)
    assert len(loader.dataset) == 5
    batch = next(iter(loader))
    assert (
        batch["rgb"].shape == (2, 3, 32, 64)
        and batch["thermal"].shape == (2, 1, 32, 64)
        and batch["label"].shape == (2, 32, 64)
    )
    assert (
        batch["label"].dtype == torch.int64
        and torch.isfinite(batch["rgb"]).all()
        and torch.isfinite(batch["thermal"]).all()
    )


def test_validation_keeps_the_native_label(tmp_path: Path) -> None:
    loaders = validation_loaders(config_for(write_folder(tmp_path), synthetic_val=1))
    assert list(loaders) == ["folder", "synthetic"]
    (batch,) = next(iter(loaders["folder"]))
    assert batch["rgb"].shape == (2, 3, 64, 96) and batch["label"].shape == (2, 48, 64)


def test_cameras_of_several_sizes_come_as_several_batches() -> None:
    """They used to be an error."""
    items = [{"rgb": torch.zeros(3, 32, 32), "label": torch.full((4, w), w)} for w in (4, 5, 4)]
    assert [batch["label"].shape for batch in by_size(items)] == [(2, 4, 4), (1, 4, 5)]


def test_names_with_dots_keep_their_tail_in_split_files(tmp_path: Path) -> None:
    names = ("1581624652.750", "1581624652.850")
    root = write_folder(tmp_path, names)
    assert open_pairs(root, "val").names == list(names)
    (root / "val.txt").write_text("1581624652.750.jpg\n")
    assert open_pairs(root, "val").names == ["1581624652.750"]


def test_odd_image_files_are_named_or_converted(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    picture = Image.fromarray(np.full((48, 64, 3), (200, 10, 30), np.uint8))
    picture.quantize(4).save(root / "rgb" / "00001D.png")
    (root / "rgb" / "00001D.jpg").unlink()
    assert FolderPairs(root)[0].rgb[0, 0].tolist() == [200, 10, 30], "a palette image gives its colours"
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(root / "rgb" / "00001D.png")
    with pytest.raises(ValueError, match=r"rgb/00001D\.png: 16 bits a channel, mode I;16; expected an 8-bit colour"):
        FolderPairs(root)[0]
    picture.save(root / "labels" / "00002N.png")
    with pytest.raises(ValueError, match=r"labels/00002N\.png: colour \(200, 10, 30\) on 3072 pixels is not in"):
        FolderPairs(root)[1]


def test_training_sees_another_camera_size_at_the_robots_scale(tmp_path: Path) -> None:
    """Crops were cut at native scale, while the robot resizes every camera to `input_size`."""
    root = write_folder(tmp_path, size=(96, 192))  # the robot sees it at a scale of 0.577
    config = config_for(root, scale_range=[1.0, 1.0], hflip=0.0, crop_size=[32, 32])
    for name in ("00001D", "00002N"):
        Image.fromarray(np.tile(np.arange(192, dtype=np.uint8), (96, 1))).save(root / "labels" / f"{name}.png")
    columns = tuple(map(str, range(192)))  # labels are column numbers
    label = TrainingFrames(CheckedFrames(FolderPairs(root), columns, columns), config)[0]["label"]
    assert (label[0, -1] - label[0, 0]).item() == pytest.approx(31 / 0.577, abs=2)


def test_missing_label_names_the_frame(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "labels" / "00001D.png").unlink()
    config = config_for(root)
    with pytest.raises(ValueError, match="frame '00001D' has none"):
        training_loader(config)


def test_synthetic_training_scenes_change_and_validation_scenes_do_not() -> None:
    small = SceneConfig(height=64, width=64)
    torch.manual_seed(0)
    random, fixed = RandomScenes(4, small), FixedScenes(4, small)
    assert not np.array_equal(random[0].rgb, random[0].rgb)
    assert np.array_equal(fixed[0].rgb, fixed[0].rgb)
