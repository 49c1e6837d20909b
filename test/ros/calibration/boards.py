"""Boards as two known cameras see them: what the tests of the calibration with a target look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sartm_core.preprocess.camera import Camera
from sartm_ros.calibration.sources import FramePair
from sartm_ros.calibration.target import Target

RGB = Camera((480, 360), (420.0, 424.0), (243.0, 176.0), (-0.12, 0.05, 0.001, -0.0008, 0.0))
THERMAL = Camera((240, 192), (250.0, 251.0), (117.0, 98.0), (-0.2, 0.08, -0.0005, 0.001, 0.0))
SAMPLES = 2
"""Rays across and down a pixel."""
FAR, WALL = 0.5, 0.55
"""Brightness of the board's margin and of what is behind it."""


def turn(x: float, y: float, z: float) -> np.ndarray:
    """(3, 3) rotation by degrees about z, then y, then x."""
    matrix = np.eye(3)
    for angle, (i, j) in zip(np.radians((x, y, z)), ((1, 2), (2, 0), (0, 1)), strict=True):
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ step
    return matrix


def pose(rotation: np.ndarray, shift: Sequence[float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, shift
    return matrix


RGB_TO_THERMAL = pose(turn(0.8, -1.5, 0.6), (-0.06, 0.012, 0.005))
"""The thermal camera is about 6 cm to the right."""


def chessboard(u: np.ndarray, v: np.ndarray, target: Target) -> np.ndarray:
    """Brightness at board coordinates (in steps from the first corner): squares 0 and 1, a margin, the wall."""
    parity = (np.floor(u) + np.floor(v)) % 2
    inside = (u >= -1) & (u <= target.columns) & (v >= -1) & (v <= target.rows)
    margin = (u >= -1.5) & (u <= target.columns + 0.5) & (v >= -1.5) & (v <= target.rows + 0.5)
    return np.where(inside, parity, np.where(margin, 1.0, WALL))


def circles(u: np.ndarray, v: np.ndarray, target: Target) -> np.ndarray:
    """Black circles on white."""
    centres = target.points()[:, :2] / target.spacing
    radius, pitch = (0.3, 1) if target.kind == "circles" else (0.55, 2)
    near = np.full(u.shape, np.inf)
    for row in (np.floor(v), np.floor(v) + 1):  # above, below
        row = np.clip(row, 0, target.rows - 1)
        shift = row % 2 if pitch == 2 else 0
        column = np.clip(np.round((u - shift) / pitch), 0, target.columns - 1)
        near = np.minimum(near, np.hypot(u - pitch * column - shift, v - row))
    low, high = -1.5, centres.max(axis=0) + 1.5
    margin = (u >= low) & (u <= high[0]) & (v >= low) & (v <= high[1])
    return np.where(margin, (near > radius).astype(float), WALL)


def shown(camera: Camera, board: np.ndarray, target: Target) -> np.ndarray:
    """(H, W) brightness 0..1: the board, `board` 4x4 takes its points to the camera's."""
    fine = camera.resized((camera.size[0] * SAMPLES, camera.size[1] * SAMPLES))
    x, y = fine.rays()  # (H * S, W * S) each
    rays = np.stack([x, y, np.ones_like(x)]).astype(np.float64)
    normal, start = board[:3, 2], board[:3, 3]
    depth = (normal @ start) / np.tensordot(normal, rays, 1)
    there = np.tensordot(board[:3, :3].T, rays * depth - start[:, None, None], 1) / target.spacing
    draw: Callable[..., np.ndarray] = chessboard if target.kind == "chessboard" else circles
    sharp = np.where(depth > 0, draw(there[0], there[1], target), WALL)
    return sharp.reshape(camera.size[1], SAMPLES, camera.size[0], SAMPLES).mean(axis=(1, 3))


def placed(target: Target, angles: Sequence[float], where: Sequence[float]) -> np.ndarray:
    """4x4 board to rgb camera: its middle at `where`, turned by `angles`."""
    middle = target.points().mean(axis=0)
    rotation = turn(*angles)
    return pose(rotation, np.asarray(where) - rotation @ middle)


def pairs(target: Target, count: int, warm: str = "white", seed: int = 0) -> list[FramePair]:
    """Frames of the board in `count` places: thermal in 16-bit counts; its `warm` parts (white, black) are bright."""
    rng = np.random.default_rng(seed)
    width = max(np.ptp(target.points(), axis=0) * (1, RGB.size[0] / RGB.size[1], 0))
    frames = []
    for index in range(count):
        angles = (-32 + 32 * (index % 3), 36 * np.sin(2.4 * index), 25 * np.cos(index))
        far = width * (1.9 + 0.9 * (index % 4) / 3)
        side = 0.16 * far * np.array([np.cos(2.2 * index), np.sin(2.2 * index)])
        board = placed(target, angles, (side[0] + 0.02, side[1], far))
        rgb = 20 + 190 * shown(RGB, board, target) + rng.normal(0, 2, RGB.size[::-1])
        heat = shown(THERMAL, RGB_TO_THERMAL @ board, target)
        heat = 30000 + 500 * (heat if warm == "white" else 1 - heat) + rng.normal(0, 8, heat.shape)
        colour = np.repeat(np.clip(rgb, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        frames.append(FramePair(f"view_{index}", colour, heat.astype(np.uint16)))
    return frames
