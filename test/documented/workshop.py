"""The files that the pages take for granted, small: each is made when the first command names it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from sartm_core.runtime.opening import default_checkpoint
from sartm_core.support.classes import MFNET
from sartm_core.synthetic import Scene, SceneConfig, drive, render_scene
from test.documented.pages import ROOT

SCENES, HELD_OUT = 8, 3
"""Of a folder; the last ones are for validation."""
SHOWN = "day"
POINTS = [(x, y) for x in (80, 320, 560) for y in (60, 240, 420)]
"""Of points.csv; the two views are one."""
CENTIKELVIN = 100


def scenes() -> Iterator[tuple[str, Scene]]:
    """Named as MFNet's, so that day and night are told apart."""
    for index, scene in enumerate(drive(10, SCENES, SceneConfig())):
        yield f"{index + 1:05d}{'N' if 'night' in scene.condition else 'D'}", scene


def write_folder(path: Path) -> None:
    """rgb/, thermal/, labels/, classes.yaml, train.txt and val.txt."""
    names = []
    for name, scene in scenes():
        pictures = {"rgb": scene.rgb, "thermal": counts(scene), "labels": scene.label}
        for folder, picture in pictures.items():
            (path / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path / folder / f"{name}.png")
        names.append(name)
    classes = {"names": list(MFNET.names), "palette": [list(color) for color in MFNET.palette]}
    (path / "classes.yaml").write_text(yaml.safe_dump(classes))
    write_lists(path)


def write_lists(path: Path) -> None:
    """train.txt and val.txt of the frames there are."""
    names = sorted(file.stem for file in (path / "rgb").iterdir())
    held_out = min(HELD_OUT, len(names) // 2)
    (path / "train.txt").write_text("\n".join(names[:-held_out]))
    (path / "val.txt").write_text("\n".join(names[-held_out:]))


def counts(scene: Scene) -> np.ndarray:
    """(H, W) uint16, hundredths of a kelvin."""
    return (scene.kelvin * CENTIKELVIN).astype(np.uint16)


def write_mfnet(path: Path) -> None:
    from test.core.layouts import write_mfnet

    write_mfnet(path, (96, 128))


def write_two_folders(path: Path) -> None:
    """`drive/colour` and `drive/thermal` beside the recording."""
    path.mkdir(parents=True, exist_ok=True)
    for name, scene in islice(scenes(), 2):
        Image.fromarray(scene.rgb if path.name == "colour" else counts(scene)).save(path / f"{name}.png")


def write_picture(path: Path) -> None:
    scene = render_scene(1, SceneConfig(), SHOWN)
    Image.fromarray(scene.rgb if path.stem in ("a", "rgb") else counts(scene)).save(path)


def write_video(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(5))
        stream.height, stream.width, stream.pix_fmt = 480, 640, "yuv420p"
        for index in range(2):
            scene = render_scene(index, SceneConfig(), SHOWN)
            grey = ((scene.kelvin - scene.kelvin.min()) * 255 / np.ptp(scene.kelvin)).astype(np.uint8)
            picture = scene.rgb if path.stem == "colour" else np.repeat(grey[..., None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_recording(path: Path) -> None:
    """A ROS 2 recording: both cameras at 10 Hz."""
    from test.ros.bag_files import PERIOD_S, RGB, THERMAL, Frame, record

    frames = []
    for index, (_, scene) in enumerate(scenes()):
        at = index * PERIOD_S
        frames += [Frame(RGB, at, at + 0.005, scene.rgb), Frame(THERMAL, at + 0.004, at + 0.009, counts(scene))]
    record(path, frames, "mcap")


def write_recording_file(path: Path) -> None:
    write_recording(path.with_suffix(""))
    shutil.move(next(path.with_suffix("").glob("*.mcap")), path)


def write_weights(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(default_checkpoint(), path)


def write_foreign(path: Path) -> None:
    """tuned.pt: a SAM2 as a fine-tuning left it; else the layout of the authors' files. Random values."""
    import torch

    from test.core.foreign_weights import authors_file, authors_model, sam2_model

    tuned = path.name == "tuned.pt"
    torch.save({"model": sam2_model("sam2.1").state_dict()} if tuned else authors_file(authors_model(5)), path)


def write_points(path: Path) -> None:
    rows = ["rgb_x,rgb_y,thermal_x,thermal_y", *(f"{x},{y},{x},{y}" for x, y in POINTS)]
    path.write_text("\n".join(rows))


def write_corrected(path: Path) -> None:
    """What CVAT gives back: the archive that it was given."""
    shutil.copy(path.with_name("to_cvat.zip"), path)


def write_results(path: Path) -> None:
    """Of a benchmark: those that the page's first command left."""
    path.parent.mkdir()
    shutil.copy(path.parents[1] / "bench" / "benchmark.json", path)


MAKERS: dict[str, Callable[[Path], None]] = {
    r"DIR|mine|urban|frames": write_folder,
    r"MFNET|MFNet": write_mfnet,
    r"drive/(colour|thermal)": write_two_folders,
    r"drive|DRIVE": write_recording,
    r"drive\.mcap": write_recording_file,
    r"(a|b|rgb|thermal)\.png": write_picture,
    r"(colour|thermal)\.mp4": write_video,
    r"(.*/)?[\w-]+\.safetensors|FILE": write_weights,
    r"model\.pth|tuned\.pt": write_foreign,
    r"points\.csv": write_points,
    r"(before|after)/benchmark\.json": write_results,
    r"from_cvat\.zip": write_corrected,
}
"""What a word must match whole -> what makes that file or folder."""
BY_HAND = {("docs/own-data.md", "sartm check-data"): lambda folder: write_lists(folder / "frames")}
"""Page and beginning of a command -> what the page tells people to do before it in words."""


def lay_out(folder: Path) -> Path:
    """A folder to work in, where the project's own files are."""
    folder.mkdir()
    (folder / "config").symlink_to(ROOT / "config")
    return folder


def provide(folder: Path, word: str, typed: str) -> None:
    """Make what a word of a command names, if it is one of ours and not there."""
    for name in (word, word.partition("/")[0]):
        makers = [make for pattern, make in MAKERS.items() if re.fullmatch(pattern, name)]
        if makers and not (folder / name).exists():
            make = write_foreign if name == "FILE" and typed.startswith("sartm import") else makers[0]
            make(folder / name)
