"""What a calibration with a target writes: a `camera_info` file of each camera, and the registration of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.homography import project
from sartm_core.support.files import write_text
from sartm_ros.calibration.models import solve
from sartm_ros.calibration.needs import CalibrationError, opencv
from sartm_ros.calibration.result import PARAMETERS, rounded
from sartm_ros.calibration.rig import Lens, Rig

CAMERAS = {"rgb": "rgb.yaml", "thermal": "thermal.yaml"}
WHOLE = "thermal_driver.yaml"
"""With `--thermal-crop`: the file for the driver, whose frames are not cropped."""
GRID = 12
"""Points a side of a plane that the homography is fitted to."""
INDENT = " " * 6


def write(rig: Rig, folder: Path, distance: float, comments: Sequence[str], crop: Sequence[int]) -> list[Path]:
    """All files; the registration last, so that it never stands beside older cameras. Returns what was written."""
    for lens in (rig.rgb, rig.thermal):
        camera(lens)  # never leave files that nobody can read
    texts = {CAMERAS["rgb"]: camera_info("rgb", rig.rgb), CAMERAS["thermal"]: camera_info("thermal", rig.thermal)}
    if any(crop):
        texts[WHOLE] = camera_info("thermal", rig.thermal, crop)
    texts[PARAMETERS] = registration(rig, distance, comments)
    for name, text in texts.items():
        yaml.safe_load(text)
        write_text(folder / name, text)
    return [folder / name for name in texts]


def camera(lens: Lens) -> Camera:
    """The same as SARTM's own class. CalibrationError for numbers that no camera has."""
    try:
        return Camera.of(*lens.size, lens.matrix.ravel().tolist(), lens.distortion.tolist())
    except ValueError as error:
        raise CalibrationError(str(error)) from error


def camera_info(name: str, lens: Lens, crop: Sequence[int] = (0, 0, 0, 0)) -> str:
    """YAML in the form of ROS's camera_calibration; `crop` (top, bottom, left, right) px were cut off the frames."""
    top, bottom, left, right = crop
    size = lens.size[0] + left + right, lens.size[1] + top + bottom
    matrix = lens.matrix.copy()
    matrix[:2, 2] += left, top
    fitted, _ = opencv().getOptimalNewCameraMatrix(matrix, lens.distortion, size, 0.0)
    projection = np.hstack([fitted, np.zeros((3, 1))])
    blocks = (
        ("camera_matrix", matrix),
        ("distortion_coefficients", lens.distortion[None]),
        ("rectification_matrix", np.eye(3)),
        ("projection_matrix", projection),
    )
    lines = [f"image_width: {size[0]}", f"image_height: {size[1]}", f"camera_name: {name}"]
    for key, values in blocks:
        if key == "distortion_coefficients":
            lines.append("distortion_model: plumb_bob")
        lines += [f"{key}:", f"  rows: {values.shape[0]}", f"  cols: {values.shape[1]}", f"  data: {numbers(values)}"]
    return "\n".join(lines) + "\n"


def registration(rig: Rig, distance: float, comments: Sequence[str]) -> str:
    """The node's parameters, which `read_registration` reads too."""
    lines = [f"# {' '.join(line.split())}" for line in comments]
    lines += ["/**/segment:", "  ros__parameters:", "    registration:"]
    values = {
        "mode": "depth",
        "rgb_camera": f"{CAMERAS['rgb']}  # for training and Python; the node gets it from rgb/camera_info",
        "thermal_camera": CAMERAS["thermal"],
        "rgb_to_thermal": numbers(rig.rgb_to_thermal),
        "homography": f"{numbers(plane(rig, distance))}  # of things {distance:.2f} m away, where depth is missing",
        "thermal_size": list(rig.thermal.size),
        "rgb_size": list(rig.rgb.size),
    }
    return "\n".join(lines + [f"{INDENT}{key}: {value}" for key, value in values.items()]) + "\n"


def plane(rig: Rig, distance: float) -> np.ndarray:
    """3x3, thermal to rgb pixels, of things on a plane before the rgb camera, `distance` m away."""
    rgb, thermal = camera(rig.rgb), camera(rig.thermal)
    width, height = rgb.size
    across, down = np.meshgrid(np.linspace(0, width - 1, GRID), np.linspace(0, height - 1, GRID))
    pixels = np.stack([across, down], axis=-1).reshape(-1, 2)  # (N, 2)
    rays = rgb.rays()[:, pixels[:, 1].astype(int), pixels[:, 0].astype(int)]  # (2, N)
    points = np.vstack([rays * distance, np.full((1, len(pixels)), distance)])  # (3, N)
    x, y, z = rig.rgb_to_thermal[:3, :3] @ points + rig.rgb_to_thermal[:3, 3:]
    there = np.stack(thermal.pixels(x / z, y / z), axis=-1)  # (N, 2)
    seen = (z > 0) & (there > -0.5).all(axis=1) & (there < np.array(thermal.size) - 0.5).all(axis=1)
    matrix = solve("homography", there[seen], pixels[seen].astype(int)) if seen.sum() > GRID else None
    if matrix is None or not np.isfinite(project(matrix, there[seen])).all():
        raise CalibrationError(f"at {distance:g} m the cameras have no view in common; give another --distance")
    return np.asarray(matrix)


def numbers(values: np.ndarray) -> str:
    """All values row by row, without exponents: YAML 1.1 takes 1e-5 for text, ROS wants floats to have a point."""
    return f"[{', '.join(np.format_float_positional(v, trim='0') for v in rounded(np.ravel(values)))}]"
