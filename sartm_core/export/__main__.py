r"""Write a checkpoint as one ONNX or OpenVINO file that takes camera frames and gives class ids.

    sartm export --format openvino                              # the shipped weights: default.xml, .bin
    sartm export --format onnx --checkpoint weights.safetensors --output robot.onnx \
        --camera 480x640 --thermal_camera 512x640 --thermal uint16
    sartm export --format openvino --precision int8 --calibration FRAMES    # by rgb/ and thermal/ of your cameras

Inputs: rgb (H, W, 3) uint8, thermal (h, w), present (2,) bool, False for a camera that is missing. Outputs: mask and
confidence (H, W) uint8, scores (1, C, h/4, w/4) float32. The file is compared with the model in torch fp32 before it is
put in its place. `Segmenter.load` and the node take it like a checkpoint. More: docs/export.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from sartm_core.export.config import ExportConfig
from sartm_core.export.run import Written, export
from sartm_core.runtime.opening import checkpoint_path
from sartm_core.support.cli import add_config_options, build_config, finish, new_parser, parse

MB = 1e6


def run(config: ExportConfig) -> str:
    """Export; returns the text for the terminal. ValueError and OSError name what is wrong."""
    weights = checkpoint_path(config.checkpoint)
    return in_words(export(config, weights))


def in_words(written: Written) -> str:
    """What was written, and how it compares."""
    about = written.about
    rgb, thermal, size = (f"{h}x{w}" for h, w in (about.camera, about.thermal_camera, about.size))
    megabytes = sum(file.stat().st_size for file in written.files) / MB
    return "\n".join(
        [
            f"{' and '.join(map(str, written.files))}: rgb {rgb} uint8, thermal {thermal} {about.thermal}; "
            f"network {size} {about.precision}, {about.model.num_classes} classes, {megabytes:.1f} MB",
            f"compared: {written.difference}",
            *([f"int8: {written.report}"] if written.report else []),
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = new_parser("export", __doc__)
    add_config_options(parser, ExportConfig)
    args = parse(parser, argv)
    faults = (ValueError, OSError, RuntimeError)
    return finish(parser, lambda: print(run(build_config(ExportConfig, args))), "no file was written", faults)


if __name__ == "__main__":
    raise SystemExit(main())
