# bench in a container, for a CPU or for NVIDIA GPUs:
#
#   docker build -t ganbench .
#   docker build -t ganbench:cuda --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 .
#   docker run --rm -it -v "$PWD":/work ganbench run --all
#   docker run --rm -it -v "$PWD":/work --gpus all --shm-size 2g ganbench:cuda run --all
#
# PyTorch's default packages bring CUDA themselves; on a CPU, TORCH_INDEX=ADDRESS (PyTorch's index of CPU builds) saves
# 4 GB. What bench writes (runs, reports, data) lies in the folder that is mounted at /work.
ARG BASE=debian:trixie-slim
FROM ${BASE}

ARG TORCH_INDEX=
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 MPLCONFIGDIR=/tmp/matplotlib

RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv "$VIRTUAL_ENV"

RUN if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" torch torchvision; fi

WORKDIR /src
COPY pyproject.toml README.md LICENSE bench.toml claims.toml ./
COPY bench ./bench
RUN pip install '.[lite0]'

WORKDIR /work
ENTRYPOINT ["bench"]
CMD ["--help"]
