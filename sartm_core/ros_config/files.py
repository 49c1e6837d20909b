"""What the parameter files of the consumers say. Names and types are those of their sources (docs/consumers.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

from sartm_core.support.classes import Color, default_palette

PEOPLE = ("person", "people", "pedestrian", "human", "survivor", "rider", "man", "woman", "child")
MOVING = (*PEOPLE, "animal", "dog", "car", "truck", "bus", "bike", "bicycle", "motorcycle", "vehicle")
"""Names of classes, in lower case, that move by themselves unless the user says which do."""
LETHAL, DOUBTFUL = 254, 100
"""Costs of Nav2: an obstacle, and one that is not sure yet."""
SURE = 127
"""Confidence 0..255 above which an observation counts fully in Nav2."""
OPAQUE = 255


@dataclass(frozen=True)
class Classes:
    """The classes of a checkpoint by what they mean to a robot."""

    names: tuple[str, ...]
    """By id; the first means "none of the others"."""
    palette: tuple[Color, ...]
    """By id."""
    dynamic: tuple[str, ...]
    """Of things that move by themselves."""
    free: tuple[str, ...]
    """Of ground to drive on."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        palette: Sequence[Sequence[int]] | None,
        dynamic: Sequence[str] | None,
        free: Sequence[str] = (),
    ) -> Classes:
        """ValueError for a name that is no class, is the first one, or is both dynamic and free."""
        names = tuple(names)
        if dynamic is None:
            dynamic = [name for name in names[1:] if name.lower() in MOVING and name not in free]
        for option, chosen in (("--dynamic", dynamic), ("--free", free)):
            for name in chosen:
                if name not in names[1:]:
                    near = get_close_matches(name, names[1:], n=1)
                    hint = f"; did you mean {near[0]!r}?" if near else ""
                    raise ValueError(f"{option}: got {name!r}, expected names of {', '.join(names[1:])}{hint}")
        both = sorted(set(dynamic) & set(free))
        if both:
            raise ValueError(f"--dynamic, --free: {', '.join(both)} cannot be both")
        colors = tuple((int(r), int(g), int(b)) for r, g, b in palette or default_palette(names))
        return cls(names, colors, tuple(dynamic), tuple(free))

    @property
    def people(self) -> tuple[str, ...]:
        return tuple(name for name in self.dynamic if name.lower() in PEOPLE)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """All that is neither people nor free ground nor nothing."""
        return tuple(name for name in self.names[1:] if name not in (*self.people, *self.free))

    def ids(self, names: Sequence[str]) -> list[int]:
        return [self.names.index(name) for name in names]


def files(classes: Classes, namespace: str, source: str) -> dict[str, str]:
    """File name -> text. source: name of the checkpoint."""
    made = f"made by `sartm ros-config` of the classes of {source}: {', '.join(classes.names)}"
    contents: dict[str, tuple[str, Any]] = {
        "nav2_semantic_layer.yaml": (NAV2, nav2(classes, namespace)),
        "hydra_labelspace.yaml": (HYDRA, hydra(classes)),
        "nvblox_segmentation.yaml": (NVBLOX.format(ns=namespace), nvblox()),
        "elevation_mapping.yaml": (ELEVATION.format(ns=namespace), elevation(classes, namespace)),
    }
    if classes.dynamic:  # ROS takes no empty list
        contents["segment_consumers.yaml"] = SEGMENT, segment(classes)
    texts = {name: dump(values, [*note.splitlines(), made]) for name, (note, values) in contents.items()}
    return texts | {"hydra_colors.csv": colors(classes)}


def dump(values: Any, notes: Sequence[str]) -> str:
    """YAML with comments above it."""
    body = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100)
    return "".join(f"# {note}\n" for note in notes) + body


NAV2 = """Nav2: plugin semantic_segmentation_layer. Merge it into your Nav2 parameter file; docs/nav2.md.
Costs are a beginning, not a safety case: people and obstacles lethal, free ground and "none of these" 0."""


def nav2(classes: Classes, namespace: str) -> dict[str, Any]:
    """A costmap with the layer."""
    kinds = {
        "people": (classes.people, cost(LETHAL, LETHAL, SURE, 1, dominant=True)),
        "obstacles": (classes.obstacles, cost(DOUBTFUL, LETHAL, SURE, 3)),
        "ground": (classes.free, cost(0, 0, 0, 0)),
        "other": (classes.names[:1], cost(0, 0, 0, 0)),
    }
    kinds = {name: kind for name, kind in kinds.items() if kind[0]}  # the layer takes no empty type
    source = {
        "segmentation_topic": f"/{namespace}/semantic_mask",
        "confidence_topic": f"/{namespace}/confidence",
        "labels_topic": f"/{namespace}/label_info",
        "pointcloud_topic": f"/{namespace}/cloud",
        "max_obstacle_distance": 5.0,
        "min_obstacle_distance": 0.3,
        "tile_map_decay_time": 2.0,
        "use_cost_selection": True,
        "visualize_tile_map": False,
        "class_types": list(kinds),
        **{name: {"classes": list(names), **costs} for name, (names, costs) in kinds.items()},
    }
    layer = {
        "plugin": "semantic_segmentation_layer::SemanticSegmentationLayer",
        "enabled": True,
        "combination_method": 1,
        "use_approximate_time_sync": False,  # mask, confidence and cloud have one stamp
        "sensor_data_depth": 10,
        "observation_sources": "sartm",
        "sartm": source,
    }
    plugins = ["voxel_layer", "semantic_segmentation_layer", "inflation_layer"]
    parameters = {"plugins": plugins, "semantic_segmentation_layer": layer}
    return {"local_costmap": {"local_costmap": {"ros__parameters": parameters}}}


def cost(base: int, most: int, confidence: int, samples: int, dominant: bool = False) -> dict[str, Any]:
    """Of a class type."""
    return {
        "base_cost": base,
        "max_cost": most,
        "mark_confidence": confidence,
        "samples_to_max_cost": samples,
        "dominant_priority": dominant,
    }


HYDRA = """Hydra: label space for ids as in semantic_mask (remap semantic/image_raw to it); 255 is no label of it.
Things that move are dynamic, free ground is surface, the rest are objects; class 0 is invalid."""


def hydra(classes: Classes) -> dict[str, Any]:
    """A label space."""
    surface = classes.ids(classes.free)
    dynamic = classes.ids(classes.dynamic)
    return {
        "total_semantic_labels": len(classes.names),
        "dynamic_labels": dynamic,
        "invalid_labels": [0],
        "object_labels": [id for id in range(1, len(classes.names)) if id not in (*surface, *dynamic)],
        "surface_places_labels": surface,
        "label_names": [{"label": id, "name": name} for id, name in enumerate(classes.names)],
    }


def colors(classes: Classes) -> str:
    """The colours of `color_mask`, for Hydra's meshes and for readers of exact colours."""
    named = enumerate(zip(classes.names, classes.palette, strict=True))
    rows = [f"{name},{r},{g},{b},{OPAQUE},{id}" for id, (name, (r, g, b)) in named]
    return "\n".join(["name,red,green,blue,alpha,id", *rows]) + "\n"


NVBLOX = """nvblox: what moves is mapped apart from what stays. Remaps of its node:
  camera_0/mask/image:=/{ns}/selected_mask  camera_0/mask/camera_info:=/{ns}/camera_info
The colour image must be the one SARTM gets: mask and colour are matched by equal stamps."""


def nvblox() -> dict[str, Any]:
    """The parameters that turn its masks on."""
    values = {"mapping_type": "human_with_static_tsdf", "use_segmentation": True, "use_color": True, "use_lidar": False}
    return {"/**": {"ros__parameters": values}}


ELEVATION = """elevation_mapping_cupy: a layer for each class, 0..1, of /{ns}/scores. Add it to its setup file; branch
ros2_py calls the topics topic_name_camera and topic_name_camera_info (both are given)."""


def elevation(classes: Classes, namespace: str) -> dict[str, Any]:
    """An image subscriber and how its channels are fused."""
    topic, info = f"/{namespace}/scores", f"/{namespace}/scores/camera_info"
    layers = [f"sem_{name}" for name in classes.names]
    subscriber = {
        "topic_name": topic,
        "camera_info_topic_name": info,
        "topic_name_camera": topic,
        "topic_name_camera_info": info,
        "channels": layers,
        "data_type": "image",
    }
    values = {"image_channel_fusions": {"sem_.*": "exponential"}, "subscribers": {"sartm_scores": subscriber}}
    return {"/elevation_mapping_node": {"ros__parameters": values}}


SEGMENT = """The segment node: which classes /selected_mask shows (nvblox takes all of them for moving)."""


def segment(classes: Classes) -> dict[str, Any]:
    """Parameters of ours."""
    return {"/**/segment": {"ros__parameters": {"selected_classes": list(classes.dynamic)}}}
