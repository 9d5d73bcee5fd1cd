# Two images: `cpu` and `cuda`. NOT BUILT BY US: no Docker engine was at hand when this was written.
#   docker build --target cpu  -t maskmill:cpu  .
#   docker build --target cuda -t maskmill:cuda .
FROM python:3.11-slim-bookworm AS cpu

# OpenCV's wheel needs the system's libGL and GLib.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/maskmill
COPY pyproject.toml constraints.txt README.md ./
COPY common common
COPY producer producer
COPY workers workers
COPY migrations migrations
RUN pip install --no-cache-dir -c constraints.txt .

# The user needs no home: the prepared graphs go to the cache, which is a tmpfs in docker-compose.yml.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin maskmill
ENV XDG_CACHE_HOME=/tmp/cache \
    XDG_DATA_HOME=/tmp/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 10001:10001
ENTRYPOINT ["maskmill"]
CMD ["--help"]

# The CUDA libraries come as Python packages; the driver comes from the host (NVIDIA Container Toolkit).
FROM cpu AS cuda
USER 0:0
WORKDIR /opt/maskmill
RUN pip install --no-cache-dir -c constraints.txt '.[cuda]'
WORKDIR /
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
