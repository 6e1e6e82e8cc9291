#!/usr/bin/env bash
# Builds the MinIO server that the tests run against into .cache/bin, once (about 3 minutes).
# Without Go it says so and succeeds: the tests then skip, or fail under CI=true, with their own reason.
set -euo pipefail

release=v0.0.0-20250907161309-07c3a429bfed # RELEASE.2025-09-07T16-13-09Z
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$root/.cache/bin

if ! command -v go >/dev/null; then
    echo "install_minio: there is no go on the PATH, so MinIO cannot be built" >&2
elif built=$(go version -m "$bin/minio" 2>/dev/null || true) && [[ $built != *"$release"* || $built != *CGO_ENABLED=0* ]]; then
    echo "install_minio: building MinIO $release into $bin (about 3 minutes, once)" >&2
    # Static, so that it is an image of its own (Dockerfile, target minio).
    CGO_ENABLED=0 GOBIN=$bin GOFLAGS="-p=1 ${GOFLAGS:-}" nice go install "github.com/minio/minio@$release"
fi
