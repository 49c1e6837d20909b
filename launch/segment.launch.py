"""One command from two camera topics to masks on /sartm/semantic_mask.

ros2 launch sartm_ros segment.launch.py rgb_topic:=/camera/color/image_raw thermal_topic:=/thermal/image_raw
ros2 launch sartm_ros segment.launch.py camera:=lepton params_file:=my.yaml,calibration/registration.yaml
ros2 launch sartm_ros segment.launch.py replay:=true                      # no cameras: synthetic scenes
ros2 launch sartm_ros segment.launch.py -s                                # every argument with its meaning

An argument left empty keeps what the parameter files say; of several files the later one wins, name by name. Nothing is
downloaded here or by the node.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

PACKAGE = "sartm_ros"
CONFIG = Path(get_package_share_directory(PACKAGE)) / "config"
DEFAULTS = CONFIG / "segment.yaml"
"""Every parameter at its default: a preset comes after it, and before anything else."""
END_S = "25"
"""Time to end after Ctrl-C: longer than the node waits for a model that is still loading (launch's own 5 s are not)."""

# name, default, description
ARGUMENTS = (
    ("rgb_topic", "rgb/image_raw", "Colour camera; a name without a leading / is inside the namespace."),
    ("thermal_topic", "thermal/image_raw", "Thermal camera; a name without a leading / is inside the namespace."),
    ("depth_topic", "depth/image_raw", "Depth aligned to the colour camera, for the cloud; as above."),
    ("rgb_transport", "", "raw (sensor_msgs/Image) or compressed (CompressedImage). Empty: as in params_file."),
    ("thermal_transport", "", "raw (sensor_msgs/Image) or compressed (CompressedImage). Empty: as in params_file."),
    (
        "checkpoint",
        "",
        "'default', a .safetensors, .onnx or .xml file, or hf:OWNER/NAME. Empty: as in params_file.",
    ),
    ("device", "", "auto, cpu, cuda or cuda:N. Empty: as in params_file."),
    ("camera", "", "Preset of the thermal camera's driver, config/cameras/NAME.yaml; it stands before files of yours."),
    ("namespace", "sartm", "Namespace of the node and of its topics."),
    ("use_sim_time", "false", "Take the time from /clock (simulation, bags played with --clock)."),
    ("replay", "false", "Start the replay node too, instead of cameras."),
    (
        "replay_source",
        "synthetic",
        "With replay: 'synthetic', or a folder of pairs (rgb/ + thermal/, or MFNet's images/).",
    ),
    ("replay_rate", "10.0", "With replay: pairs per second, looping."),
)


def flag(context: LaunchContext, name: str) -> bool:
    """Value of a true/false argument."""
    value = context.launch_configurations[name].strip().lower()
    if value not in ("true", "1", "false", "0"):
        raise ValueError(f"launch argument {name}: got {value!r}, expected true or false")
    return value in ("true", "1")


def number(context: LaunchContext, name: str) -> float:
    """Value of a numeric argument."""
    value = context.launch_configurations[name]
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"launch argument {name}: got {value!r}, expected a number") from None


def parameter_files(context: LaunchContext) -> list[str]:
    """Those of params_file and the preset of `camera`; launch_ros passes over a parameter file that is not there."""
    given = context.launch_configurations
    files = [Path(name.strip()).expanduser() for name in given["params_file"].split(",")]
    for path in files:
        if not path.is_file():
            raise ValueError(f"launch argument params_file: got '{path}', expected a YAML file; there is no such file")
    if given["camera"]:
        presets = {path.stem: path for path in sorted((CONFIG / "cameras").glob("*.yaml"))}
        if given["camera"] not in presets:
            raise ValueError(f"launch argument camera: got '{given['camera']}', expected one of {', '.join(presets)}")
        files.insert(files[0] == DEFAULTS, presets[given["camera"]])
    return [str(path) for path in files]


def start_nodes(context: LaunchContext) -> list[Node]:
    """The segment node, and the replay node if asked for."""
    given = context.launch_configurations
    topics = [(f"{name}/image_raw", given[f"{name}_topic"]) for name in ("rgb", "thermal", "depth")]
    overrides: dict[str, object] = {"use_sim_time": flag(context, "use_sim_time")}
    for name in ("checkpoint", "device", "rgb_transport", "thermal_transport"):
        if given[name]:
            overrides[name] = given[name]
    common = {"package": PACKAGE, "namespace": given["namespace"], "remappings": topics}
    common |= {"output": "screen", "emulate_tty": True, "sigterm_timeout": END_S}
    parameters = [*parameter_files(context), overrides]
    nodes = [Node(executable="segment", name="segment", parameters=parameters, **common)]
    if flag(context, "replay"):
        source: dict[str, object] = {"source": given["replay_source"], "rate": number(context, "replay_rate")}
        source |= {"loop": True, "wait_for_subscribers": True}
        nodes.append(Node(executable="replay", name="replay", parameters=[source], **common))
    return nodes


def generate_launch_description() -> LaunchDescription:
    """Arguments, the nodes. The Fast DDS profile that lets large images through each takes by itself."""
    actions: list = [DeclareLaunchArgument(n, default_value=default, description=d) for n, default, d in ARGUMENTS]
    actions.append(
        DeclareLaunchArgument(
            "params_file",
            default_value=str(CONFIG / "segment.yaml"),
            description="YAML with parameters of the segment node; several, with commas between: the later wins.",
        )
    )
    return LaunchDescription([*actions, OpaqueFunction(function=start_nodes)])
