#!/bin/sh
# Succeeds if this container's worker has polled the Temporal server for work in the last five minutes.
set -eu
. "$(dirname "$0")/numeric-address.sh"

address=${TEMPORAL_ADDRESS:?set it to the address of the Temporal server}
if [ -z "${TEMPORAL_TLS:-}${TEMPORAL_API_KEY:-}" ]; then
  # With TLS, keep the name: the certificate is checked against it, and such a server has a name in real DNS.
  address=$(numeric_address "$address")
fi
temporal task-queue describe --task-queue "${PLANGATE_TASK_QUEUE:-plangate}" --address "$address" |
  grep -q "@$(hostname) "
