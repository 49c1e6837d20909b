"""Videos in and out, through PyAV (`pip install "sartm_ros[tools]"`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from fractions import Fraction
from importlib import import_module
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sartm_core.predict.frames import Frame, Source, modified
from sartm_core.support.files import replacing

USUAL_RATE = Fraction(10)
"""Frames per second of a written video where the read one does not say."""
RATE_DENOMINATOR = 1001
"""Rates are fractions no finer than the 30000/1001 of television."""
QUARTER = 90
"""Degrees of a turn that `np.rot90` makes."""
CODECS = ("libx264", "mpeg4")
"""Encoders for a written video, the first that this FFmpeg has."""


def av() -> ModuleType:
    """PyAV. ValueError when it is not installed."""
    try:
        return import_module("av")
    except ImportError as error:
        raise ValueError('videos need PyAV, which is not installed; pip install "sartm_ros[tools]"') from error


class Video:
    """One video file: how many frames (at most: some codecs have hidden ones), how fast, and the frames."""

    def __init__(self, path: Path, thermal: bool) -> None:
        """Count the frames without decoding them. ValueError when the file is no video."""
        self.path, self.thermal = path, thermal
        module = av()
        try:
            with module.open(str(path)) as container:
                if not container.streams.video:
                    raise ValueError(f"{path}: no video stream in this file")
                stream = container.streams.video[0]
                self.rate = stream.average_rate or stream.guessed_rate
                self.count = sum(packet.size > 0 for packet in container.demux(stream))
        except (module.FFmpegError, OSError) as error:
            raise ValueError(f"{path}: neither an image nor a readable video ({error})") from error
        if not self.count:
            raise ValueError(f"{path}: the video holds no frames")

    def frames(self) -> Iterator[Any]:
        """Decoded frames of PyAV, in the order they are shown. ValueError names the frame where decoding fails."""
        module, index = av(), 0
        try:
            with module.open(str(self.path)) as container:
                container.streams.video[0].thread_type = "AUTO"
                for frame in container.decode(video=0):
                    yield frame
                    index += 1
        except (module.FFmpegError, OSError) as error:
            raise ValueError(f"{self.path}: cannot be decoded from frame {index} on ({error})") from error

    def array(self, frame: Any) -> np.ndarray:
        """(H, W, 3) uint8, of a thermal video (h, w) uint8, or uint16 where the video has 16 bits; upright, as players
        turn it."""
        if self.thermal:
            deep = frame.format.name in ("gray16le", "gray16be")
            array = frame.to_ndarray(format="gray16le" if deep else "gray")
        else:
            array = frame.to_ndarray(format="rgb24")
        turns = round(getattr(frame, "rotation", 0) / QUARTER)  # counterclockwise; PyAV before 12.3 does not tell
        return np.ascontiguousarray(np.rot90(array, turns)) if turns else array


class VideoFrames(Source):
    """One or two videos, paired by frame number; what one is longer than the other is left out."""

    def __init__(self, rgb: Path | None, thermal: Path | None) -> None:
        self.videos = [Video(path, thermal=i == 1) for i, path in enumerate((rgb, thermal)) if path]
        counts = [video.count for video in self.videos]
        rates = {video.rate for video in self.videos if video.rate}
        self.names = [f"{index:06d}" for index in range(min(counts))]
        self.rate = self.videos[0].rate
        self.notes = []
        if max(counts) > min(counts):
            longer = max(self.videos, key=lambda video: video.count)
            both = ", ".join(f"{video.path.name} has {video.count} frames" for video in self.videos)
            self.notes.append(f"{both}: the last {max(counts) - min(counts)} of {longer.path.name} were left out")
        if len(rates) > 1:
            both = ", ".join(f"{video.path.name} {float(video.rate):g}" for video in self.videos)
            self.notes.append(f"frames a second: {both}: frames of one number are not of one moment")

    def walk(self, wanted: Collection[str]) -> Iterator[Frame]:
        last = max((index for index, name in enumerate(self.names) if name in wanted), default=-1)
        streams = [video.frames() for video in self.videos]
        for index, name in enumerate(self.names[: last + 1]):
            try:
                frames = [next(stream, None) for stream in streams]
            except ValueError as error:  # of this video nothing more can be read
                yield from (Frame(rest, error=str(error)) for rest in self.names[index:] if rest in wanted)
                return
            if None in frames:
                self.tell(f"{self.videos[frames.index(None)].path.name} ended after {index} frames")
                return
            if name in wanted:
                read = zip(self.videos, frames, strict=True)
                arrays = {video.thermal: video.array(frame) for video, frame in read}
                yield Frame(name, arrays.get(False), arrays.get(True))

    def tell(self, note: str) -> None:
        """Add a note, once."""
        if note not in self.notes:
            self.notes.append(note)

    def changed(self, name: str) -> int:
        return max(modified(video.path) for video in self.videos)


def write_video(path: Path, pictures: Iterable[np.ndarray], rate: Fraction | None) -> None:
    """An mp4 of one or more RGB pictures (H, W, 3) uint8 of one size, H and W even. All of it or none."""
    module = av()
    codec = next(name for name in CODECS if name in module.codecs_available)
    every = iter(pictures)
    first = next(every)
    with replacing(path) as temporary, module.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(rate or USUAL_RATE).limit_denominator(RATE_DENOMINATOR))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in chain([first], every):
            container.mux(stream.encode(module.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
