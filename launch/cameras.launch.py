"""Several camera pairs, one model, one process:

ros2 launch sartm_ros cameras.launch.py cameras_file:=my_cameras.yaml

What the file holds: config/cameras.yaml. `ros2 launch sartm_ros cameras.launch.py -s` lists the arguments.
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PACKAGE = "sartm_ros"
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


def generate_launch_description() -> LaunchDescription:
    """Arguments, the Fast DDS profile that lets large images through, the process with all nodes."""
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), "config"])
    actions: list = [
        DeclareLaunchArgument(
            "cameras_file",
            default_value=PathJoinSubstitution([config, "cameras.yaml"]),
            description="YAML with the camera pairs, their topics and parameters.",
        ),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="Take the time from /clock."),
    ]
    if not any(os.environ.get(variable) for variable in PROFILE_VARIABLES):  # the user's own profile wins
        actions.append(SetEnvironmentVariable(PROFILE_VARIABLES[0], PathJoinSubstitution([config, "fastdds.xml"])))
    parameters = {
        "cameras_file": ParameterValue(LaunchConfiguration("cameras_file"), value_type=str),
        "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
    }
    actions.append(
        Node(package=PACKAGE, executable="cameras", parameters=[parameters], output="screen", emulate_tty=True)
    )
    return LaunchDescription(actions)
