#!/bin/sh
# Creates the namespace and registers Plangate's two search attributes. Safe to run repeatedly.
set -eu
. "$(dirname "$0")/numeric-address.sh"

TEMPORAL_ADDRESS=$(numeric_address "${TEMPORAL_ADDRESS:?set it to the address of the Temporal server}")
export TEMPORAL_ADDRESS

tries=0
until temporal operator cluster health; do
  tries=$((tries + 1))
  if [ "$tries" -ge 30 ]; then
    echo "The Temporal server at $TEMPORAL_ADDRESS did not become ready; check its log." >&2
    exit 1
  fi
  sleep 2
done

if ! temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi

# A new namespace takes a few seconds to reach all services.
tries=0
until temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
  --name PlangateState --type Keyword --name PlangateRequester --type Keyword; do
  tries=$((tries + 1))
  if [ "$tries" -ge 30 ]; then
    echo "The search attributes could not be registered; check the log of the Temporal server." >&2
    exit 1
  fi
  sleep 2
done
echo "The namespace $TEMPORAL_NAMESPACE is ready."
