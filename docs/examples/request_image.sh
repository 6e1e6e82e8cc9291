#!/bin/sh
# Sends a CloudEvent in binary mode, to Darkroom or to a broker: request_image.sh URL PROMPT ID.
# Its source and ID make it the same request, however often it is sent. Darkroom wants $TOKEN, where it has one.
set -eu
exec curl --fail-with-body --silent --show-error "$1" \
    --header "Authorization: Bearer ${TOKEN:-}" \
    --header "Content-Type: application/json" \
    --header "ce-specversion: 1.0" \
    --header "ce-type: dev.darkroom.image.requested" \
    --header "ce-source: /examples/curl" \
    --header "ce-id: $3" \
    --data "$2"
