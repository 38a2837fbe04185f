"""AutoGen's OpenAI clients with normalized responses.

It is slow to import, so it is imported only when such a client is opened. May import AutoGen and the
transport.
"""

from typing import Any, Final

from autogen_ext.models.openai import AzureOpenAIChatCompletionClient, OpenAIChatCompletionClient

from activities.planners.autogen.model_transport import model_http_client


class CheckedOpenAI(OpenAIChatCompletionClient):
    """A client of OpenAI or a compatible server whose responses are normalized."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**_with_defaults(options))


class CheckedAzureOpenAI(AzureOpenAIChatCompletionClient):
    """A client of Azure OpenAI whose responses are normalized."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**_with_defaults(options))


CHECKED: Final = {
    original.__name__: f"{checked.__module__}.{checked.__name__}"
    for original, checked in (
        (OpenAIChatCompletionClient, CheckedOpenAI),
        (AzureOpenAIChatCompletionClient, CheckedAzureOpenAI),
    )
}


def _with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """Add Plangate's defaults to a client's options.

    Many servers refuse a message with a ``name``, which a conversation between two parties does not need.
    Temporal retries; retries by the client would multiply the attempts.
    """
    return {
        "include_name_in_message": False,
        "max_retries": 0,
        **options,
        "http_client": model_http_client(),
    }
