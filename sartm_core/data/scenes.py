"""Synthetic scenes as frames: new ones at every access, always the same ones, or a pool that was rendered once."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from sartm_core import synthetic
from sartm_core.data.pairs import Sample
from sartm_core.support.files import cache_folder, replacing
from sartm_core.synthetic import Scene, SceneConfig, SyntheticScenes, render_scene

log = logging.getLogger(__name__)

VAL_SEED = 10_000_000
"""Fresh training scenes draw their seeds below this; validation scenes hash (VAL_SEED, index) into 32 bits."""
COUNTS_PER_KELVIN = 100
"""Thermal images of a pool are centikelvin, a fifth of the camera's noise."""
POOLS_KEPT = 4
"""Those used last; older ones are removed when one is rendered."""
DIGITS = 20
"""Of the hash in the name of a pool's file."""


class RandomScenes(Sequence[Sample]):
    """Synthetic scenes; every access draws a new one from torch's generator, so no epoch repeats another."""

    def __init__(self, length: int, config: SceneConfig) -> None:
        self.length, self.config = length, config

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        scene = render_scene(int(torch.randint(0, VAL_SEED, ())), self.config)
        return Sample(f"synthetic_{scene.seed}_{scene.condition}", scene.rgb, scene.kelvin, scene.label)


class FixedScenes(Sequence[Sample]):
    """The same synthetic scenes at every access, for validation. Names end in the condition."""

    def __init__(self, length: int, config: SceneConfig, seed: int = VAL_SEED) -> None:
        self.scenes = SyntheticScenes(length, seed, config)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        scene = self.scenes[index]
        return Sample(f"synthetic_{index}_{scene.condition}", scene.rgb, scene.kelvin, scene.label)


class ScenePool(Sequence[Sample]):
    """Scenes of a file; processes share what they look at. Thermal is in centikelvin."""

    def __init__(self, path: Path) -> None:
        self.path, self.records = path, np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        record = self.records[index]
        return Sample(f"synthetic_{index}_{record['condition']}", record["rgb"], record["thermal"], record["label"])


def pooled(scenes: SyntheticScenes) -> ScenePool:
    """The scenes as a pool in the user's cache folder, rendered there unless they are there already."""
    path = pool_path(scenes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):  # of several processes one renders, the others wait
            if not path.is_file():
                log.info("rendering %d synthetic scenes, once, into %s", len(scenes), path)
                with replacing(path) as temporary:
                    render(scenes, temporary)
                for old in sorted(path.parent.glob("*.npy"), key=lambda file: -file.stat().st_mtime)[POOLS_KEPT:]:
                    old.unlink(missing_ok=True)
        os.utime(path)
    except OSError as error:
        raise ValueError(
            f"DataConfig.synthetic_pool: {len(scenes)} scenes of 2 MB cannot be kept in {path.parent} ({error}); set "
            "SARTM_CACHE to a folder with room, or --data.synthetic_pool 0"
        ) from error
    return ScenePool(path)


def pool_path(scenes: SyntheticScenes) -> Path:
    """Named after all that the scenes depend on: number, seed, configuration and the code that draws them."""
    key = {"code": drawing_code(), "length": len(scenes), "seed": scenes.seed, **dataclasses.asdict(scenes.config)}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "scenes" / f"{digest[:DIGITS]}.npy"


@cache
def drawing_code() -> str:
    """Digest of the code that draws scenes."""
    digest = hashlib.sha256()
    for file in sorted(Path(synthetic.__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def render(scenes: SyntheticScenes, path: Path) -> None:
    """Draw the scenes with all CPUs and write them to `path`, one record each."""
    size = (scenes.config.height, scenes.config.width)
    record = [("rgb", np.uint8, (*size, 3)), ("thermal", np.uint16, size), ("label", np.uint8, size)]
    workers = min(len(scenes), usable_cpus())
    loader: Iterator[Scene] = iter(
        DataLoader(scenes, batch_size=None, num_workers=workers, collate_fn=itself)  # type: ignore[arg-type]
    )
    dtype = np.dtype([*record, ("condition", "U8")])
    pool = np.lib.format.open_memmap(path, "w+", dtype, (len(scenes),))
    for i, scene in enumerate(tqdm(loader, "scenes", len(scenes), disable=None)):
        counts = np.rint(scene.kelvin * COUNTS_PER_KELVIN)  # (H, W)
        pool[i] = (scene.rgb, counts.clip(0, np.iinfo(np.uint16).max), scene.label, scene.condition)
    pool.flush()


def usable_cpus() -> int:
    """CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def itself(scene: Scene) -> Scene:
    """A scene as it is, not as tensors."""
    return scene


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """While the block runs, other processes wait for it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
