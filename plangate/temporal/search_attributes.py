"""The search attributes of Plangate: the two by which runs are listed, named in this one place.

A server may refuse to have them registered (Temporal Cloud has its own ways) or have one of another type
already. Neither stops a worker: runs are then started without them, and lists come from the records.
"""

import logging
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError

PLANGATE_STATE: Final = SearchAttributeKey.for_keyword("PlangateState")
PLANGATE_REQUESTER: Final = SearchAttributeKey.for_keyword("PlangateRequester")
KEYS: Final = (PLANGATE_STATE, PLANGATE_REQUESTER)

_KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD

# A workflow imports this module, and the sandbox of the replay tests cannot load structlog.
_log = logging.getLogger(__name__)


async def ensure_search_attributes(client: Client, namespace: str) -> str | None:
    """Register the search attributes where the server allows it, and check their types.

    Returns:
        One sentence on why they cannot be used, or None where they can.
    """
    refusal = await _register(client, namespace)
    try:
        registered = await _registered(client, namespace)
    except RPCError as error:
        return _told(
            f"Whether the search attributes exist cannot be known ({_reason(refusal or error)}); "
            f"register them yourself: {_how(namespace)}."
        )
    missing = [key.name for key in KEYS if key.name not in registered]
    if missing:
        reason = f" ({_reason(refusal)})" if refusal else ""
        return _told(
            f"The search attributes {' and '.join(missing)} are missing{reason}; "
            f"register them: {_how(namespace)}."
        )
    for key in KEYS:
        if registered[key.name] != _KEYWORD:
            name = IndexedValueType.Name(registered[key.name]).removeprefix("INDEXED_VALUE_TYPE_")
            kind = name.title().replace("_", "")  # as the temporal command line writes it
            return _told(
                f"The search attribute {key.name} is of type {kind} in the namespace {namespace}; "
                "remove it and register it as Keyword."
            )
    return None


async def _register(client: Client, namespace: str) -> RPCError | None:
    """Try to register; adding what exists is no error, even with another type, hence the reading back."""
    request = AddSearchAttributesRequest(
        namespace=namespace, search_attributes={key.name: _KEYWORD for key in KEYS}
    )
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        return error
    return None


async def _registered(client: Client, namespace: str) -> dict[str, "IndexedValueType.ValueType"]:
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=namespace)
    )
    return {**answer.system_attributes, **answer.custom_attributes}


def _reason(error: RPCError) -> str:
    return error.message.strip().rstrip(".") or error.status.name.replace("_", " ").lower()


def _how(namespace: str) -> str:
    names = " ".join(f"--name {key.name} --type Keyword" for key in KEYS)
    return f"temporal operator search-attribute create --namespace {namespace} {names}"


def _told(problem: str) -> str:
    _log.warning(problem, extra={"action": "search_attributes"})
    return problem
