# Two images: `cpu` and `cuda`. NOT BUILT BY US: there was no Docker engine where this was written. Its steps were
# run by hand in a clean folder; docs/operations.md says which.
#
#   docker build --target cpu  -t maskmill:cpu  .
#   docker build --target cuda -t maskmill:cuda .
#
# A whole job in one container, which brings its own Redis, workers and database (without --gpus: maskmill:cpu):
#
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD/photos:/data/in:ro" -v "$PWD/masked:/data/out" \
#       maskmill:cuda run --input /data/in --output /data/out
#
# --user makes the files yours; the output folder must exist and be yours too. Any uid will do, the image needs no
# home and no name for it. It also works with `--read-only --tmpfs /tmp:mode=1777 --cap-drop ALL --network none`.
# Other programs pass through: docker run --rm -it maskmill:cpu /bin/bash
FROM python:3.11.14-slim-bookworm AS cpu

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
COPY benchmarks benchmarks
RUN pip install --no-cache-dir -c constraints.txt .
COPY --chmod=0755 docker-entrypoint.sh /usr/local/bin/docker-entrypoint.sh

# Whoever the user is: what is cached (prepared graphs) and kept goes to /tmp, which may be a tmpfs.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin maskmill
ENV HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    XDG_DATA_HOME=/tmp/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Not /opt/maskmill, and no folder of the user: what lies in the current folder is not imported.
WORKDIR /
USER 10001:10001
ENTRYPOINT ["docker-entrypoint.sh"]
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
