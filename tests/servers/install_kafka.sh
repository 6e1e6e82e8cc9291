#!/usr/bin/env bash
# Copies the Kafka server that the tests run against, with all that it needs, into .cache/kafka, once (50 MB).
# Without a JDK and Maven it says so and succeeds: the tests then skip, or fail under CI=true, with their own reason.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
jars=$here/../../.cache/kafka

if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    echo "install_kafka: there are no java and mvn on the PATH, so Kafka cannot be installed" >&2
elif ! cmp -s "$here/pom.xml" "$jars/pom.xml"; then
    echo "install_kafka: Kafka comes down into .cache/kafka (50 MB, once)" >&2
    rm -rf "$jars"
    mvn --quiet --batch-mode -Dstyle.color=never --file "$here/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$jars"
    cp "$here/pom.xml" "$jars/pom.xml" # last: what was cut short starts again
fi
