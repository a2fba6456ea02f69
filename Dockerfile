# vaecli on a CPU. The runs are written to the mounted directory:
#   docker build -t vaecli .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/outputs:/work/outputs" vaecli schedule.beta=4
# The default torch has CUDA in it, which takes most of the space. The installation page of torch
# names an index with torch for CPUs alone; pip prefers its torch, and the image is much smaller:
#   docker build -t vaecli --build-arg TORCH_INDEX=URL .
FROM python:3.12-slim

ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp/matplotlib

WORKDIR /vaecli
# torch has a layer of its own: a change of the source does not download it again.
COPY constraints.txt ./
RUN pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY vaecli vaecli
RUN pip install -c constraints.txt .

WORKDIR /work
ENTRYPOINT ["vae-train"]
