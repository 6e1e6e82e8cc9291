#!/bin/sh
# Sends a plain JSON prompt to the door: drop_prompt.sh URL PROMPT ID; $TOKEN is the door's token.
# Sent again with the same ID it is the same request, and is not drawn again.
set -eu
exec curl --fail-with-body --silent --show-error "$1/drop" \
    --header "Authorization: Bearer ${TOKEN:-}" \
    --header "Content-Type: application/json" \
    --header "Idempotency-Key: $3" \
    --data "$2"
