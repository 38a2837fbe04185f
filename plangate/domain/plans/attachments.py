"""Attachments: files that a step sends, stored in the records when the plan is drafted.

A tool that sends files reads them once, when the plan is drafted. It stores their bytes, and its observation
contains the SHA-256 of each file. The observation is part of the fingerprint, so the approvers decide on
exactly these bytes. The same bytes are sent even if the files change later. An auditor reads the digests with
this module, without the tool.
"""

from collections.abc import Iterable
from typing import Final

from pydantic import Field, JsonValue, ValidationError

from plangate.domain.base import Typed

_NAME: Final = "attachments"


class Attachment(Typed):
    """One file of a step: its name, its digest (64 hex digits), its size and its media type."""

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
    media_type: str


class _Observed(Typed):
    attachments: tuple[Attachment, ...]


def observation_of(attachments: Iterable[Attachment]) -> JsonValue:
    """Return attachments as an observation: ``{"attachments": [{"name": …, "sha256": …, …}]}``."""
    return _Observed(attachments=tuple(attachments)).model_dump(mode="json")


def attachments_in(observation: JsonValue) -> tuple[Attachment, ...]:
    """Return the attachments that an observation lists; empty if it is of another kind."""
    if not isinstance(observation, dict) or observation.keys() != {_NAME}:
        return ()
    try:
        return _Observed.model_validate(observation, strict=False).attachments
    except ValidationError:
        return ()
