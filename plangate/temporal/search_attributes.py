"""Define and register the two search attributes that are used to list runs.

A server may refuse the registration (Temporal Cloud registers them differently), or may already have one of
them with a different type. Neither prevents a worker from starting: runs then start without the attributes,
and lists are read from the records.
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
    """Register the search attributes if the server allows it, and check their types.

    Returns:
        A sentence that explains why they cannot be used and what to do, or None if they can be used.
    """
    refusal = await _register(client, namespace)
    try:
        registered = await _registered(client, namespace)
    except RPCError as error:
        return _logged(
            f"The search attributes cannot be checked ({_reason(refusal or error)}); "
            f"register them yourself: {_how(namespace)}."
        )
    missing = [key.name for key in KEYS if key.name not in registered]
    if missing:
        reason = f" ({_reason(refusal)})" if refusal else ""
        return _logged(
            f"The search attributes {' and '.join(missing)} are missing{reason}; "
            f"register them: {_how(namespace)}."
        )
    for key in KEYS:
        if registered[key.name] != _KEYWORD:
            name = IndexedValueType.Name(registered[key.name]).removeprefix("INDEXED_VALUE_TYPE_")
            kind = name.title().replace("_", "")  # in the format of the temporal command line
            return _logged(
                f"The search attribute {key.name} is of type {kind} in the namespace {namespace}; "
                "remove it and register it as Keyword."
            )
    return None


async def _register(client: Client, namespace: str) -> RPCError | None:
    """Try to register the attributes; the server reports no error if one exists with another type."""
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


def _logged(problem: str) -> str:
    _log.warning(problem, extra={"action": "search_attributes"})
    return problem
