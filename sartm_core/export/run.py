"""Checkpoint in, checked file out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from sartm_core.export.check import FRAMES, Difference, compare
from sartm_core.export.config import FORMATS, ExportConfig, parse_size
from sartm_core.model.checkpoint import model_of, read_stored
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime.engines.agreement import ENOUGH
from sartm_core.runtime.engines.base import INT8, Settings
from sartm_core.runtime.engines.openvino import in_int8
from sartm_core.runtime.exported.description import Description
from sartm_core.runtime.exported.parts import Parts
from sartm_core.runtime.quantisation import verdict
from sartm_core.runtime.quantisation.calibration import Calibration
from sartm_core.runtime.quantisation.frames import frames_of
from sartm_core.runtime.quantisation.quantise import NEEDED, Report, has_nncf
from sartm_core.support.files import scratch_folder
from sartm_core.support.reports import versions

PACKAGES = ("sartm_ros", "torch", "onnx", "onnxscript", "openvino")
"""Their versions are written into the file."""


@dataclass(frozen=True)
class Written:
    """What came out."""

    files: list[Path]
    """The one to load, then what belongs to it."""
    about: Description
    difference: Difference
    report: Report | None = None
    """Of int8, on frames like those it was made by."""


def export(config: ExportConfig, weights: Path) -> Written:
    """Write the file, compare it with the model, and only then put it in its place. ValueError tells what is wrong."""
    kind = FORMATS[config.format]
    kind.check_installed()
    path = config.path(weights)
    with tqdm(total=1 + FRAMES, leave=False, desc="convert") as bar:
        stored = read_stored(weights)
        model, digest = model_of(stored, config.sam2), stored.sha256
        del stored
        about = describe(model, config, weights, digest)
        quantiser = Quantiser(config, about) if config.precision == INT8 else None
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path) as folder:
            draft = folder / path.name
            kind.write(Parts.of(model, about, quantiser), about, draft)
            bar.update()
            bar.set_description("compare")
            difference = compare(kind.Runner(draft), model, about, bar.update)
            if not difference.is_good(enough := ENOUGH if quantiser is None else verdict.ENOUGH):
                raise ValueError(
                    f"{path} was not written: it would give {difference}; expected {enough:.1%} of pixels and finite "
                    "scores" + ("; try --precision fp32" if config.precision != "fp32" else "")
                )
            files = kind.publish(draft, path)
    return Written(files, about, difference, quantiser and quantiser.report)


class Quantiser:
    """Makes the network of a file one in int8, and knows then how it does. ValueError when int8 breaks it."""

    def __init__(self, config: ExportConfig, about: Description) -> None:
        """ValueError when what it needs is missing, or the frames."""
        if not has_nncf():
            raise ValueError(f"ExportConfig.precision: 'int8' asked for, but {NEEDED}")
        calibration = Calibration(config.calibration)
        self.frames = frames_of(calibration, about.preprocess, about.size, Pixels.NEVER)
        self.about = about
        self.report: Report | None = None

    def __call__(self, network: Any) -> Any:
        """An `openvino.Model`, as it is and in int8."""
        settings = Settings(torch.device("cpu"), INT8)
        result, self.report = in_int8(network, self.frames, self.about.model.classes, settings)
        if not self.report.verdict.is_good:
            raise ValueError(f"no file was written: in int8 it would give {self.report}; try --precision fp32")
        return result


def describe(model: SARTM, config: ExportConfig, weights: Path, digest: str) -> Description:
    """What will be in the file."""
    camera = parse_size("camera", config.camera)
    assert camera is not None
    preprocess = model.info.preprocess
    if preprocess.pad != "none":
        raise ValueError(
            f"{weights}: its frames are padded ({preprocess.pad}), which exported files cannot do; run the checkpoint "
            "itself with --engine openvino or onnxruntime"
        )
    return Description(
        model=model.config,
        info=model.info,
        size=parse_size("size", config.size) or preprocess.model_size(*camera),
        camera=camera,
        thermal_camera=parse_size("thermal_camera", config.thermal_camera) or camera,
        thermal=config.thermal,
        precision=config.precision,
        weights=weights.stem,
        weights_sha256=digest,
        versions=versions(PACKAGES),
    )
