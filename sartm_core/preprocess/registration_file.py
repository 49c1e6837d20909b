"""Registrations as files: what `sartm calibrate` writes, and the same with cameras and depth.

registration:                     # in YAML or JSON; or a parameter file of the node, ros__parameters above it
  mode: depth                     # homography, scale_shift or depth
  rgb_camera: rgb.yaml            # camera_info files as ROS writes them, beside this file
  thermal_camera: thermal.yaml
  rgb_to_thermal: [16 numbers]    # 4x4 row by row, metres
  tolerance: 1.5                  # optional, as the next
  homography: [9 numbers]         # stands in where depth is missing, with thermal_size and rgb_size
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.parallax import TOLERANCE, DepthRegistration, FrameRegistration
from sartm_core.preprocess.registration import ANY, GridMaker, Registration
from sartm_core.support.late import torch

SIZES = ("thermal_size", "rgb_size")
KEYS = {
    "homography": ("homography",),
    "scale_shift": ("scale", "shift"),
    "depth": ("rgb_camera", "thermal_camera", "rgb_to_thermal"),
}
"""Mode -> what it needs."""
KNOWN = ("mode", "tolerance", *SIZES, *(key for keys in KEYS.values() for key in keys))


def read_registration(path: str | Path) -> Registration | DepthRegistration:
    """The registration that a file describes. ValueError names the file and what is wrong in it."""
    path = Path(path)
    try:
        values = section(yaml.safe_load(path.read_text("utf-8")))
        return registration_of(values, path.parent)
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename}: no such file") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def section(values: Any) -> dict[str, Any]:
    """What stands below `registration`, wherever that is. ValueError without it, or for keys that nobody reads."""
    while isinstance(values, dict) and "registration" not in values:
        inner = [value for value in values.values() if isinstance(value, dict)]
        values = inner[0] if len(inner) == 1 else None
    found = values["registration"] if isinstance(values, dict) else None
    if not isinstance(found, dict):
        raise ValueError("got no section `registration`, expected one as `sartm calibrate` writes it")
    unknown = sorted(set(found) - set(KNOWN))
    if unknown:
        raise ValueError(f"registration: got {', '.join(unknown)}; expected keys of {', '.join(KNOWN)}")
    return found


def registration_of(values: dict[str, Any], folder: Path) -> Registration | DepthRegistration:
    """From the values of the section; file names are below `folder`."""
    mode = values.get("mode", "homography")
    if mode not in KEYS:
        raise ValueError(f"registration.mode: got {mode!r}, expected one of {', '.join(KEYS)}")
    missing = [key for key in KEYS[mode] if key not in values]
    if missing:
        raise ValueError(f"registration: mode {mode} needs {', '.join(missing)} too")
    thermal_size, rgb_size = (values.get(name, ANY) for name in SIZES)
    if mode == "scale_shift":
        return Registration.scale_shift(values["scale"], values["shift"], thermal_size, rgb_size)
    plane = Registration(values["homography"], thermal_size, rgb_size) if "homography" in values else None
    if mode == "homography":
        assert plane is not None
        return plane
    rgb, thermal = (read_camera_info(folder / values[name]) for name in ("rgb_camera", "thermal_camera"))
    tolerance = float(values.get("tolerance", TOLERANCE))
    return DepthRegistration(rgb, thermal, values["rgb_to_thermal"], plane, tolerance)


def read_camera_info(path: Path) -> Camera:
    """A `camera_info` YAML file of ROS (camera_calibration, camera_info_manager). ValueError names it."""
    values = yaml.safe_load(path.read_text("utf-8"))
    try:
        return Camera.of(
            values["image_width"],
            values["image_height"],
            values["camera_matrix"]["data"],
            values["distortion_coefficients"]["data"],
            values["distortion_model"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error} is missing; expected a camera_info file of ROS") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def in_rgb_view(
    thermal: np.ndarray, size: tuple[int, int], registration: FrameRegistration, grid: GridMaker | None = None
) -> np.ndarray:
    """A thermal frame as the rgb camera would see it, as data sets need it.

    (h, w) -> (H, W) of the same type, `size` (H, W). Where thermal sees nothing, the frame's median: neutral.
    """
    neutral = np.float32(np.nanmedian(thermal))
    values = torch.from_numpy(thermal.astype(np.float32) - neutral)[None, None]  # (1, 1, h, w)
    warped = registration.warp(values, size, size, grid)[0, 0].numpy() + neutral  # (H, W)
    return warped if thermal.dtype == np.float32 else np.rint(warped).astype(thermal.dtype)
