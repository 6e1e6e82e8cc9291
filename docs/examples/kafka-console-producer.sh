#!/bin/sh
# Publishes a plain JSON prompt to a topic that a KafkaSource delivers to Darkroom: BROKERS TOPIC PROMPT.
# kafka-console-producer.sh is Kafka's own; it makes a record of each line, and Darkroom a request of each record.
set -eu
printf '%s\n' "$3" | kafka-console-producer.sh --bootstrap-server "$1" --topic "$2"
