"""Checkpoint in, checked file out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sartm_core.export.check import FRAMES, Difference, compare
from sartm_core.export.config import FORMATS, ExportConfig, parse_size
from sartm_core.model.checkpoint import model_of, read_stored
from sartm_core.model.sartm import SARTM
from sartm_core.preprocess.prepare import Pixels
from sartm_core.runtime.engines.agreement import ENOUGH
from sartm_core.runtime.engines.base import INT8, Settings
from sartm_core.runtime.engines.openvino import in_int8
from sartm_core.runtime.exported.description import JOINTS, PRESENT, Description
from sartm_core.runtime.exported.parts import Parts
from sartm_core.runtime.quantisation import verdict
from sartm_core.runtime.quantisation.calibration import Calibration
from sartm_core.runtime.quantisation.frames import Frames, frames_of
from sartm_core.runtime.quantisation.onnx_qdq import quantised
from sartm_core.runtime.quantisation.quantise import NEEDED, Report, has_nncf
from sartm_core.support.device import CPU
from sartm_core.support.files import scratch_folder
from sartm_core.support.reports import versions

PACKAGES = ("sartm_ros", "torch", "onnx", "onnxscript", "openvino")
"""Their versions are written into the file."""
REMEDY = {"fp16": "; try --precision fp32", INT8: "; try other frames as --calibration, or --precision fp32"}
"""By precision, what to do about a file that differs."""


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
        quantiser = QUANTISERS[config.format](config, about) if config.precision == INT8 else None
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path) as folder:
            draft = folder / path.name
            kind.write(Parts.of(model, about, quantiser), about, draft)
            bar.update()
            bar.set_description("compare")
            difference = compare(kind.Runner(draft), model, about, bar.update)
            enough = verdict.ENOUGH if quantiser else ENOUGH
            if not difference.is_good(enough):
                raise ValueError(
                    f"{path} was not written: it would give {difference}; expected {enough:.1%} of pixels and finite "
                    f"scores{REMEDY.get(config.precision, '')}"
                )
            files = kind.publish(draft, path)
    return Written(files, about, difference, quantiser and quantiser.report)


class Quantiser:
    """Makes an ONNX network of the file one in int8."""

    report: Report | None = None
    """How it does, where that is told apart from the comparison of the file."""

    def __init__(self, config: ExportConfig, about: Description) -> None:
        """ValueError names what is wrong with the frames."""
        self.frames: Frames = frames_of(Calibration(config.calibration), about.preprocess, about.size, Pixels.NEVER)
        self.about = about

    def __call__(self, network: Any) -> Any:
        """An `onnx.ModelProto`, as it is and with quantisers."""
        return quantised(network, (*JOINTS, PRESENT), self.frames.measured)


class OpenvinoQuantiser(Quantiser):
    """The same for an OpenVINO network."""

    def __init__(self, config: ExportConfig, about: Description) -> None:
        """ValueError, too, when NNCF is missing."""
        if not has_nncf():
            raise ValueError(f"ExportConfig.precision: 'int8' asked for, but {NEEDED}")
        super().__init__(config, about)

    def __call__(self, network: Any) -> Any:
        """An `openvino.Model`, as it is and in int8. ValueError when int8 breaks it."""
        settings = Settings(CPU, INT8)
        result, self.report = in_int8(network, self.frames, self.about.model.classes, settings)
        if not self.report.verdict.is_good:
            raise ValueError(f"no file was written: in int8 it would give {self.report}; try --precision fp32")
        return result


QUANTISERS = {"onnx": Quantiser, "openvino": OpenvinoQuantiser}
"""By format."""


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
