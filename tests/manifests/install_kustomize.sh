#!/usr/bin/env bash
# Builds kustomize into .cache/bin, once (54 s of one core), in the version that is in kubectl 1.34: what is tested is
# then what `kubectl apply -k` makes of the same folders.
# Without Go it says so and succeeds: the tests then skip, or fail under CI=true, with their own reason.
set -euo pipefail

release=v5.7.1
module=sigs.k8s.io/kustomize/kustomize/v5
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$root/.cache/bin

if ! command -v go >/dev/null; then
    echo "install_kustomize: there is no go on the PATH, so kustomize cannot be built" >&2
elif ! go version -m "$bin/kustomize" 2>/dev/null | grep -q "$module[[:space:]]$release"; then
    echo "install_kustomize: building kustomize $release into $bin (half a minute on two cores, once)" >&2
    GOBIN=$bin nice go install "$module@$release"
fi
