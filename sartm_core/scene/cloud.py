"""A labelled point cloud: the rgb view with depth, class, confidence and temperature, one point for each pixel.

Each point is `FIELDS`, `POINT_STEP` bytes without gaps, in this machine's byte order; rows and columns are those of the
image, missing points are there as NaN. The array's memory is the `data` of a `sensor_msgs/PointCloud2` of this `width`
and `height`, `row_step = width * POINT_STEP`, `is_dense` false. Readers find fields by name: Nav2's semantic layer
takes x, y, z as float32, Hydra `label` as an integer and `rgb` as PCL packs it, 0x00RRGGBB in the bits of a float.
Small points matter: at 640x480 each byte of one is 0.3 MB that is written, copied and sent for every frame.
"""

from __future__ import annotations

import numpy as np

from sartm_core.preprocess.camera import Camera
from sartm_core.preprocess.depth import metres
from sartm_core.scene.cameras import SAME_VIEW, Pixels

UINT8, FLOAT32 = 2, 7
"""`datatype` of `sensor_msgs/PointField`."""
FIELDS: dict[str, tuple[int, int]] = {
    "x": (0, FLOAT32),
    "y": (4, FLOAT32),
    "z": (8, FLOAT32),
    "rgb": (12, FLOAT32),
    "label": (16, UINT8),
    "confidence": (17, UINT8),
    "temperature": (20, FLOAT32),
}
"""Name -> (offset in bytes, datatype). x, y, z in metres in the rgb optical frame, NaN where depth is missing; label:
class id, 255 where no class was sure enough; confidence as in its image, 255 is certain, 0 without; temperature in
kelvin, NaN where unknown."""
NUMBERS = {UINT8: np.uint8, FLOAT32: np.float32}
POINT_STEP = 24
"""Bytes of a point. Two of them are 0, so that all numbers are aligned."""
POINT = np.dtype(
    {
        "names": list(FIELDS),
        "formats": [NUMBERS[kind] for _, kind in FIELDS.values()],
        "offsets": [offset for offset, _ in FIELDS.values()],
        "itemsize": POINT_STEP,
    }
)
"""The same for numpy."""
ROWS = 16
"""So many are filled together: few enough to stay in a CPU's cache until all fields are written."""


def cloud(
    mask: np.ndarray,
    depth: np.ndarray,
    camera: Camera,
    rgb: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
    kelvin: np.ndarray | None = None,
    registration: Pixels | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """(H, W) array of `POINT`.

    Args:
        mask: (H, W) uint8 class ids of the rgb view.
        depth: (H, W) uint16 millimetres or float32 metres, aligned to it.
        camera: the rgb camera; one measured at another size is taken as resized.
        rgb: (H, W, 3) uint8; None: black.
        confidence: (H, W) uint8, 255 is certain; None: 0.
        kelvin: (h, w) float32 of the thermal camera, not warped; None: NaN.
        registration: where the thermal view lies in the rgb view; None: both show the same view.
        out: to be filled and returned, such as the last frame's; its padding is 0 already. None: a new one.

    ValueError: an image of another size than the mask, depth of another type, a camera of another shape.
    """
    height, width = mask.shape
    for name, image in (("depth", depth), ("rgb", rgb), ("confidence", confidence)):
        if image is not None and image.shape[:2] != mask.shape:
            raise ValueError(
                f"{name}: got {image.shape[1]}x{image.shape[0]}, expected the mask's {width}x{height}"
                + ("; align the depth to the rgb camera" if name == "depth" else "")
            )
    camera.check_shape("mask", width, height)
    points = np.zeros(mask.shape, POINT) if out is None else out
    x, y = camera.resized((width, height)).rays()
    warm = None if kelvin is None else np.append(kelvin.ravel(), np.float32(np.nan))  # place -1 is the last
    if kelvin is not None:
        seen = (registration or SAME_VIEW).thermal_pixels((kelvin.shape[0], kelvin.shape[1]), mask.shape)  # (H, W)
    for first in range(0, height, ROWS):
        rows = slice(first, first + ROWS)
        part, z = points[rows], metres(depth[rows])
        np.multiply(x[rows], z, out=part["x"])
        np.multiply(y[rows], z, out=part["y"])
        part["z"] = z
        part["rgb"] = 0 if rgb is None else packed(rgb[rows])
        part["temperature"] = np.nan if warm is None else warm[seen[rows]]  # of the nearest pixel, no mean of two
        part["label"] = mask[rows]
        part["confidence"] = 0 if confidence is None else confidence[rows]
    return points


def packed(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) float32 whose bits are 0x00RRGGBB."""
    bits = rgb[..., 0].astype(np.uint32)
    for channel in (1, 2):
        bits <<= 8
        bits |= rgb[..., channel]
    return bits.view(np.float32)
