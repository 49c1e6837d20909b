# Without ROS and GPU: the tools, and the demo over the ROS wheels of PyPI. Not built yet. From the repository's root:
#   docker build -f docker/cpu.Dockerfile -t sartm:cpu .
#   docker run --rm --shm-size 512m -v "$PWD/out:/out" sartm:cpu sartm demo --output /out
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home sartm && install -d -o sartm /opt/venv
USER sartm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv && pip install "setuptools>=64,<80" wheel \
 && pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu \
 && SAM2_BUILD_CUDA=0 pip install --no-build-isolation "sam2>=1.1.0"
COPY --chown=sartm . /home/sartm/src
RUN pip install --no-build-isolation "/home/sartm/src[ros,openvino,tools,view]" && rm -rf /home/sartm/src
WORKDIR /home/sartm
CMD ["sartm", "--help"]
