#!/bin/sh
# Prints the command that builds images here: $BUILDER, or the first of podman, docker and buildah that works.
if [ -n "${BUILDER:-}" ]; then
    echo "$BUILDER"
    exit
fi
for program in podman docker buildah; do
    if command -v "$program" >/dev/null && "$program" info >/dev/null 2>&1; then
        echo "$program"
        exit
    fi
done
echo "Images are built by podman, docker or buildah, and none of them works here; BUILDER names one that does." >&2
exit 1
