"""The two search attributes by which Temporal lists runs."""

from typing import Final

from temporalio.common import SearchAttributeKey

PLANGATE_STATE: Final = SearchAttributeKey.for_keyword("PlangateState")
PLANGATE_REQUESTER: Final = SearchAttributeKey.for_keyword("PlangateRequester")
