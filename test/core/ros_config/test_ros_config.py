"""`sartm ros-config`: files that the consumers' own rules accept, for any classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sartm_core.__main__ import MODULES
from sartm_core.ros_config.__main__ import main
from sartm_core.ros_config.files import Classes, files
from sartm_core.support.classes import FMB, MFNET, PST900

ROOT = Path(__file__).resolve().parents[3]
FREE = {"fmb": ("road", "sidewalk")}
SETS = {"mfnet": MFNET, "pst900": PST900, "fmb": FMB}


@pytest.fixture(params=SETS)
def made(request: pytest.FixtureRequest) -> tuple[Classes, dict[str, str]]:
    labels = SETS[request.param]
    classes = Classes.of(labels.names, labels.palette, None, FREE.get(request.param, ()))
    return classes, files(classes, "robot/sartm", "mine.safetensors")


def test_nav2_finds_every_class_in_one_type(made: tuple[Classes, dict[str, str]]) -> None:
    classes, texts = made
    layer = yaml.safe_load(texts["nav2_semantic_layer.yaml"])["local_costmap"]["local_costmap"]["ros__parameters"]
    source = layer["semantic_segmentation_layer"]["sartm"]
    kinds = [source[name] for name in source["class_types"]]
    assert sorted(name for kind in kinds for name in kind["classes"]) == sorted(classes.names)
    assert all(kind["classes"] for kind in kinds), "an empty type is an error of the layer"
    costs = {name: kind["max_cost"] for kind in kinds for name in kind["classes"]}
    assert costs[classes.names[0]] == 0 and all(costs[name] == 0 for name in classes.free)
    assert all(costs[name] == 254 for name in classes.names[1:] if name not in classes.free)
    assert source["segmentation_topic"] == "/robot/sartm/semantic_mask"


def test_hydra_has_a_name_and_one_role_for_every_label(made: tuple[Classes, dict[str, str]]) -> None:
    classes, texts = made
    space = yaml.safe_load(texts["hydra_labelspace.yaml"])
    roles = ("dynamic_labels", "invalid_labels", "object_labels", "surface_places_labels")
    assert set(space) == {"total_semantic_labels", "label_names", *roles}
    assert space["total_semantic_labels"] == len(classes.names)
    assert [(row["label"], row["name"]) for row in space["label_names"]] == list(enumerate(classes.names))
    assert sorted(label for role in roles for label in space[role]) == list(range(len(classes.names)))
    header, *rows = texts["hydra_colors.csv"].splitlines()
    assert header == "name,red,green,blue,alpha,id"
    assert [row.split(",") for row in rows] == [
        [name, *map(str, color), "255", str(id)]
        for id, (name, color) in enumerate(zip(classes.names, classes.palette, strict=True))
    ]


def test_elevation_mapping_has_as_many_channels_as_scores(made: tuple[Classes, dict[str, str]]) -> None:
    classes, texts = made
    values = yaml.safe_load(texts["elevation_mapping.yaml"])["/elevation_mapping_node"]["ros__parameters"]
    (subscriber,) = values["subscribers"].values()
    assert subscriber["data_type"] == "image" and len(set(subscriber["channels"])) == len(classes.names)
    assert "rgb" not in subscriber["channels"], "it would count for three"


def test_nvblox_masks_what_moves(made: tuple[Classes, dict[str, str]]) -> None:
    classes, texts = made
    values = yaml.safe_load(texts["nvblox_segmentation.yaml"])["/**"]["ros__parameters"]
    assert values["use_segmentation"] is True and values["mapping_type"].startswith("human_with_")
    chosen = yaml.safe_load(texts["segment_consumers.yaml"])["/**/segment"]["ros__parameters"]["selected_classes"]
    assert tuple(chosen) == classes.dynamic and set(chosen) & {"person", "survivor"}


def test_without_moving_classes_there_is_nothing_to_select() -> None:
    classes = Classes.of(("none", "wall", "floor"), None, (), ("floor",))
    assert "segment_consumers.yaml" not in files(classes, "sartm", "x")
    assert classes.obstacles == ("wall",) and classes.people == ()


@pytest.mark.parametrize(
    ("dynamic", "free", "text"),
    [
        (("persn",), (), "--dynamic: got 'persn'.*did you mean 'person'"),
        (None, ("unlabeled",), "--free: got 'unlabeled'"),
        (("car",), ("car",), "car cannot be both"),
    ],
)
def test_wrong_names_are_told(dynamic: tuple | None, free: tuple, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Classes.of(MFNET.names, MFNET.palette, dynamic, free)


def test_the_shipped_files_are_those_of_the_shipped_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert MODULES["ros-config"] == "sartm_core.ros_config"
    assert main(["--output", str(tmp_path)]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(written) == sorted(tmp_path.iterdir())
    for name in ("hydra_labelspace.yaml", "hydra_colors.csv", "nvblox_segmentation.yaml", "elevation_mapping.yaml"):
        assert (tmp_path / name).read_text() == (ROOT / "config" / name).read_text(), name
