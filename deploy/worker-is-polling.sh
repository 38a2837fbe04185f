#!/bin/sh
# Healthy means: the Temporal server has heard this container's worker ask for work in the last minutes.
set -eu

address=${TEMPORAL_ADDRESS:?names the Temporal server}
if [ -z "${TEMPORAL_TLS:-}${TEMPORAL_API_KEY:-}" ]; then
  # The temporal program (gRPC in Go) hangs at names that Docker's DNS resolves; at addresses it does not.
  # With TLS the name is needed for the certificate, and such a server has a name in a real DNS.
  found=$(getent hosts "${address%:*}")
  ip=${found%% *}
  case $ip in *:*) ip="[$ip]" ;; esac
  address="$ip:${address##*:}"
fi
temporal task-queue describe --task-queue "${PLANGATE_TASK_QUEUE:-plangate}" --address "$address" |
  grep -q "@$(hostname) "
