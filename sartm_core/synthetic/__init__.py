"""Procedural RGB-thermal street scenes with exact MFNet labels, in five lighting conditions.

From the top: `scenes` (what users call) -> `layout` (which object stands where) -> `objects` (how each kind
draws itself) -> `canvas` (one layer of surface ids) -> `appearance` and `thermal` (what the two cameras see).
"""

from sartm_core.synthetic.config import CONDITIONS, SceneConfig
from sartm_core.synthetic.scenes import Scene, SyntheticScenes, drive, render_scene

__all__ = ["CONDITIONS", "Scene", "SceneConfig", "SyntheticScenes", "drive", "render_scene"]
