# ROS 2 Jazzy with a CUDA GPU, for a robot's computer. Not built yet. From the repository's root:
#   docker build -f docker/cuda-jazzy.Dockerfile -t sartm:jazzy .
#   docker run --rm --gpus all --network host --ipc host sartm:jazzy rgb_topic:=/camera/color/image_raw
# The wheels of torch bring their CUDA libraries; the host needs the driver and the NVIDIA container toolkit.
FROM ros:jazzy
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility PIP_NO_CACHE_DIR=1
COPY package.xml /ws/src/sartm/package.xml
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv python3-pip \
 && rosdep update && rosdep install --from-paths /ws/src --ignore-src -y && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home sartm && chown -R sartm /ws
USER sartm
WORKDIR /ws
SHELL ["/bin/bash", "-c"]
RUN python3 -m venv --system-site-packages .venv && touch .venv/COLCON_IGNORE && source .venv/bin/activate \
 && pip install "setuptools<80" wheel colcon-common-extensions torch torchvision timm safetensors "numpy<2" \
 && SAM2_BUILD_CUDA=0 pip install --no-build-isolation "sam2>=1.1.0"
COPY --chown=sartm . src/sartm
RUN source /opt/ros/jazzy/setup.bash && source .venv/bin/activate && python -m colcon build
ENTRYPOINT ["/bin/bash", "-c", "source install/setup.bash && exec ros2 launch sartm_ros segment.launch.py \"$@\"", "--"]
