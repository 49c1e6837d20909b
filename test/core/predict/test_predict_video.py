"""`sartm predict` on videos, made here and read back with PyAV."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sartm_core.data.images import read_image
from sartm_core.predict import __main__ as predict
from sartm_core.predict import run
from sartm_core.predict.config import PredictConfig
from sartm_core.predict.sources import open_source
from sartm_core.predict.summary import Result
from sartm_core.predict.video import VideoFrames, write_video
from sartm_core.runtime.segmenter import Segmenter
from test.core.conftest import PLAIN
from test.core.figure_data import weights
from test.core.layouts import SIZE, rgb_of, thermal_of

__all__ = ["weights"]
av = pytest.importorskip("av", reason="videos need PyAV")
RATE = 5


def write(path: Path, pictures: list[np.ndarray], rate: int = RATE) -> Path:
    """A lossless FFV1 video of (H, W, 3) uint8 or (h, w) uint16 frames."""
    deep = pictures[0].dtype == np.uint16
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "gray16le" if deep else "bgr0"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="gray16le" if deep else "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def segmenter(weights: Path) -> Segmenter:
    return Segmenter.load(weights, **PLAIN)


@pytest.fixture
def videos(tmp_path: Path) -> tuple[Path, Path]:
    """Five colour frames, and four of 16-bit thermal."""
    rgb = write(tmp_path / "colour.mkv", [rgb_of(str(i)) for i in range(5)])
    return rgb, write(tmp_path / "thermal.mkv", [thermal_of(str(i), bits=16) for i in range(4)])


def done(segmenter: Segmenter, output: Path, rgb: Path | None, thermal: Path | None, **options: object) -> Result:
    config = PredictConfig(rgb=rgb and str(rgb), thermal=thermal and str(thermal), **options)
    return run.predict(segmenter, open_source(config), config, output)


def shape_and_length(path: Path) -> tuple[int, int, int, float]:
    """(frames, H, W, frames per second)."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return len(frames), frames[0].height, frames[0].width, float(container.streams.video[0].average_rate)


def test_frames_are_paired_by_number_and_the_rest_is_told(videos, segmenter: Segmenter, tmp_path: Path) -> None:
    result = done(segmenter, tmp_path / "out", *videos, batch=3)
    assert list(result.counts) == [f"{i:06d}" for i in range(4)] and not result.failed
    assert result.notes == ["colour.mkv has 5 frames, thermal.mkv has 4 frames: the last 1 of colour.mkv were left out"]
    for i in range(4):
        expected = segmenter(rgb_of(str(i)), thermal_of(str(i), bits=16)).mask
        assert np.array_equal(read_image(tmp_path / "out" / "mask" / f"{i:06d}.png"), expected)
    assert shape_and_length(tmp_path / "out" / "video.mp4") == (4, SIZE[0], 3 * SIZE[1], RATE)


@pytest.mark.parametrize("kept", ["rgb", "thermal"])
def test_one_video_alone(videos, segmenter: Segmenter, tmp_path: Path, kept: str) -> None:
    rgb, thermal = videos if kept == "rgb" else (None, videos[1])
    thermal = None if kept == "rgb" else thermal
    result = done(segmenter, tmp_path / "out", rgb, thermal, overlay=True)
    frames = {"rgb": rgb_of("2"), "thermal": thermal_of("2", bits=16)}
    expected = segmenter(*(frame if kind == kept else None for kind, frame in frames.items())).mask
    assert np.array_equal(read_image(tmp_path / "out" / "mask" / "000002.png"), expected)
    assert shape_and_length(tmp_path / "out" / "video.mp4")[:3] == (len(result.counts), SIZE[0], 2 * SIZE[1])


def test_it_goes_on_in_the_middle_and_remakes_the_video_only_then(videos, segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done(segmenter, out, *videos)
    good = {path.name: path.read_bytes() for path in (out / "mask").iterdir()}
    video = (out / "video.mp4").stat().st_mtime_ns
    assert done(segmenter, out, *videos).kept == 4 and (out / "video.mp4").stat().st_mtime_ns == video
    (out / "mask" / "000002.png").unlink()
    assert done(segmenter, out, *videos).kept == 3
    assert {path.name: path.read_bytes() for path in (out / "mask").iterdir()} == good
    assert (out / "video.mp4").stat().st_mtime_ns > video


def test_unequal_rates_are_told(tmp_path: Path) -> None:
    pictures = [rgb_of(str(i)) for i in range(2)]
    source = VideoFrames(write(tmp_path / "a.mkv", pictures), write(tmp_path / "b.mkv", pictures, rate=2 * RATE))
    assert source.notes == ["frames a second: a.mkv 5, b.mkv 10: frames of one number are not of one moment"]
    first = next(source.walk({"000000"}))
    assert first.thermal is not None and first.thermal.shape == SIZE and first.thermal.dtype == np.uint8


def test_a_video_that_breaks_off_loses_its_last_frames_only(videos, segmenter, tmp_path: Path) -> None:
    whole = videos[0].read_bytes()
    videos[0].write_bytes(whole[: len(whole) * 3 // 4])
    result = done(segmenter, tmp_path / "out", *videos)
    assert 0 < len(result.counts) < 4
    assert shape_and_length(tmp_path / "out" / "video.mp4")[0] == len(result.counts)
    assert any("colour.mkv" in text for text in [*result.notes, *result.failed.values()])


def test_an_interrupted_video_leaves_no_half_file(tmp_path: Path) -> None:
    def pictures():
        yield np.zeros((32, 32, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "video.mp4", pictures(), None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what,message", [("text", "neither an image nor a readable video"), ("no av", "[tools]")])
def test_what_is_no_video(what: str, message: str, videos, tmp_path: Path, monkeypatch, capsys) -> None:
    path = videos[0]
    if what == "text":
        path.write_text("no video")
    else:
        monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SystemExit) as stop:
        predict.main(["--rgb", str(path), "--output", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_image_with_a_video_is_refused(videos, tmp_path: Path, capsys) -> None:
    Image.fromarray(thermal_of("0")).save(tmp_path / "one.png")
    with pytest.raises(SystemExit) as stop:
        predict.main(["--rgb", str(videos[0]), "--thermal", str(tmp_path / "one.png"), "--output", str(tmp_path / "o")])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and "is, by its name, a video; --thermal" in message and "give two of a kind" in message


@pytest.mark.parametrize(
    "turn,bright",
    [
        ((1, 0, 0, 1), np.s_[:, :16]),  # stored as it is to be seen: the left half is bright
        ((0, 1, -1, 0), np.s_[:16]),  # turned clockwise by players: the left becomes the top
        ((-1, 0, 0, -1), np.s_[:, -16:]),
        ((0, -1, 1, 0), np.s_[-16:]),
    ],
)
def test_a_turned_video_is_upright_as_players_show_it(tmp_path: Path, turn: tuple[int, ...], bright) -> None:
    """Regression: a phone's video was segmented lying on its side."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, :48] = 200
    write_video(tmp_path / "x.mp4", [picture] * 2, None)
    data = (tmp_path / "x.mp4").read_bytes()
    place = data.index(b"tkhd") + 44  # the display matrix of the track, 16.16 and 2.30 fixed point
    a, b, c, d = (value << 16 for value in turn)
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "x.mp4").write_bytes(data[:place] + matrix + data[place + len(matrix) :])
    frame = next(iter(VideoFrames(tmp_path / "x.mp4", None).walk({"000000"})))
    assert frame.rgb is not None
    assert frame.rgb.shape == ((64, 96, 3) if turn[0] else (96, 64, 3))
    assert frame.rgb[bright].mean() > 150 and frame.rgb.mean() < 130
