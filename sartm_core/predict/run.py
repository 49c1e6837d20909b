"""From frames to files: what is there already is kept, the rest goes through the `Segmenter` in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from sartm_core.data.images import read_image
from sartm_core.predict import pictures, summary
from sartm_core.predict.config import PredictConfig
from sartm_core.predict.frames import Frame, Source, modified
from sartm_core.predict.outputs import Outputs
from sartm_core.predict.summary import Result
from sartm_core.predict.video import VideoFrames, write_video
from sartm_core.runtime.batching import FramePair
from sartm_core.runtime.result import SegmentationResult
from sartm_core.runtime.segmenter import Segmenter
from sartm_core.support.files import replacing, write_json, write_text

SHEET_FRAMES = 12
"""Rows of the contact sheet."""
SHEET, VIDEO = "sheet.png", "video.mp4"


def record_of(config: PredictConfig, segmenter: Segmenter) -> dict[str, Any]:
    """What decides the masks: a folder of masks is of one such record."""
    frames = {"rgb": config.rgb, "thermal": config.thermal, "root": config.data}
    return {
        "weights_sha256": segmenter.sha256,
        **{kind: text and str(Path(text).resolve()) for kind, text in frames.items()},
        "dataset": config.dataset,
        "split": config.split,
        "threshold": config.threshold,
        "device": segmenter.device.type,
        "engine": segmenter.engine,
        "precision": segmenter.precision,
        "input_size": segmenter.input_size and list(segmenter.input_size),
        "classes": list(segmenter.classes),
    }


def predict(segmenter: Segmenter, source: Source, config: PredictConfig, root: Path) -> Result:
    """Segment every frame that is not done and write all that `config` asks for below `root`.

    Raises:
        ValueError: `root` holds a run with other weights or options.
    """
    outputs = Outputs(root, segmenter.palette)
    record = record_of(config, segmenter)
    outputs.claim(record)
    result = Result(segmenter.classes, notes=source.notes)
    segment_all(segmenter, source, config, outputs, result)
    result.counts = {name: result.counts[name] for name in source.names if name in result.counts}
    if result.counts and config.sheet:
        write_sheet(root / SHEET, source, outputs, result, segmenter)
    if result.counts and isinstance(source, VideoFrames):
        write_side_by_side(root / VIDEO, source, outputs, result, segmenter)
    write_json(root / "summary.json", summary.as_dict(result, record))
    write_text(root / "summary.csv", summary.as_csv(summary.class_rows(result)))
    if result.counts:
        write_text(root / "frames.csv", summary.as_csv(summary.frame_rows(result)))
    return result


def segment_all(segmenter: Segmenter, source: Source, config: PredictConfig, outputs: Outputs, result: Result) -> None:
    """The pictures of every frame; `result` receives the counts and the bad files."""
    with tqdm(total=len(source.names), unit="frame", disable=None) as bar:
        redraw: set[str] = set()
        for name in source.names:
            mask = outputs.done(name, source.changed(name), config.confidence)
            if mask is not None:
                result.add(name, mask)
                bar.update()
                if config.overlay and not outputs.path("overlay", name).is_file():
                    redraw.add(name)
        result.kept = len(result.counts)
        todo = {name for name in source.names if name not in result.counts}
        for frames in batches(source.walk(todo | redraw), config.batch):
            fresh = [frame for frame in frames if frame.name in todo]
            for frame in frames:
                if frame.name in redraw and not frame.error:
                    mask = read_image(outputs.path("mask", frame.name))
                    outputs.save("overlay", frame.name, Image.fromarray(drawn(frame, mask, segmenter)))
            for frame, segmented in segment(segmenter, fresh, config):
                if isinstance(segmented, str):
                    outputs.remove(frame.name)  # of what its files held before
                    result.failed[frame.name] = segmented
                else:
                    picture = drawn(frame, segmented.mask, segmenter) if config.overlay else None
                    confidence = segmented.confidence if config.confidence else None
                    outputs.write(frame.name, segmented.mask, confidence, picture)
                    result.add(frame.name, segmented.mask)
            bar.update(len(fresh))
            bar.set_postfix(bad=len(result.failed), refresh=False)


def batches(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Lists of `size` frames, the last one shorter."""
    group: list[Frame] = []
    for frame in frames:
        group.append(frame)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def segment(
    segmenter: Segmenter, frames: list[Frame], config: PredictConfig
) -> list[tuple[Frame, SegmentationResult | str]]:
    """Each frame with its result, or with what is wrong with it."""
    good = [frame for frame in frames if not frame.error]
    pairs = [
        FramePair(frame.rgb, frame.thermal, confidence_threshold=config.threshold, confidence=config.confidence)
        for frame in good
    ]
    bad: list[tuple[Frame, SegmentationResult | str]] = [(frame, frame.error) for frame in frames if frame.error]
    try:
        return [*bad, *zip(good, segmenter.batch(pairs), strict=True)]
    except ValueError as error:
        if len(good) == 1:
            return [*bad, (good[0], str(error))]
    return [*bad, *(pair for frame in good for pair in segment(segmenter, [frame], config))]


def drawn(frame: Frame, mask: np.ndarray, segmenter: Segmenter) -> np.ndarray:
    """The overlay (H, W, 3) uint8 of a frame: on rgb, without it on thermal."""
    return pictures.columns(frame, mask, segmenter.palette)["overlay"]


def shown(
    source: Source, names: set[str], outputs: Outputs, segmenter: Segmenter
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Name and pictures of frames that have a mask."""
    for frame in source.walk(names):
        if not frame.error:
            mask = read_image(outputs.path("mask", frame.name))
            yield frame.name, pictures.columns(frame, mask, segmenter.palette)


def write_sheet(path: Path, source: Source, outputs: Outputs, result: Result, segmenter: Segmenter) -> None:
    """A contact sheet of frames spread evenly over the run."""
    names = list(result.counts)
    count = min(SHEET_FRAMES, len(names))
    chosen = {names[i * (len(names) - 1) // max(1, count - 1)] for i in range(count)}
    rows = [
        (name, {caption: pictures.cell(image) for caption, image in row.items()})
        for name, row in shown(source, chosen, outputs, segmenter)
    ]
    with replacing(path) as temporary:
        pictures.sheet(rows, segmenter.classes, segmenter.palette).save(temporary, "PNG")


def write_side_by_side(path: Path, source: VideoFrames, outputs: Outputs, result: Result, segmenter: Segmenter) -> None:
    """rgb | thermal | overlay as a video, unless the one that is there is of these masks."""
    if modified(path) > max(modified(outputs.path("mask", name)) for name in result.counts):
        return
    rows = tqdm(
        shown(source, set(result.counts), outputs, segmenter),
        "video", total=len(result.counts), unit="frame", disable=None,
    )  # fmt: skip
    write_video(path, pictures.side_by_side(row for _, row in rows), source.rate)
