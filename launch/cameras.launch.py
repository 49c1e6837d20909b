"""Several camera pairs, one model, one process:

ros2 launch sartm_ros cameras.launch.py cameras_file:=my_cameras.yaml

What the file holds: config/cameras.yaml. `ros2 launch sartm_ros cameras.launch.py -s` lists the arguments.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

PACKAGE = "sartm_ros"
END_S = "25"
"""Time to end after Ctrl-C: longer than the node waits for a model that is still loading (launch's own 5 s are not)."""


def start_process(context: LaunchContext) -> list[Node]:
    """The process with all nodes. A wrong argument raises ValueError."""
    given = context.launch_configurations
    path = Path(given["cameras_file"]).expanduser()
    if not path.is_file():
        raise ValueError(f"launch argument cameras_file: got '{path}', expected a YAML file; there is no such file")
    sim_time = given["use_sim_time"].strip().lower()
    if sim_time not in ("true", "1", "false", "0"):
        raise ValueError(f"launch argument use_sim_time: got {sim_time!r}, expected true or false")
    parameters: dict[str, object] = {"cameras_file": str(path), "use_sim_time": sim_time in ("true", "1")}
    common = {"output": "screen", "emulate_tty": True, "sigterm_timeout": END_S}
    return [Node(package=PACKAGE, executable="cameras", parameters=[parameters], **common)]


def generate_launch_description() -> LaunchDescription:
    """Arguments, the process. The Fast DDS profile that lets large images through it takes by itself."""
    config = Path(get_package_share_directory(PACKAGE)) / "config"
    actions: list = [
        DeclareLaunchArgument(
            "cameras_file",
            default_value=str(config / "cameras.yaml"),
            description="YAML with the camera pairs, their topics and parameters.",
        ),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="Take the time from /clock."),
    ]
    return LaunchDescription([*actions, OpaqueFunction(function=start_process)])
