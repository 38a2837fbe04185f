"""Verify that records and bundles contain the attachments of all plans, unchanged."""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping

from plangate.domain.base import Typed
from plangate.domain.escaping import one_line
from plangate.domain.plans.attachments import Attachment, attachments_in
from plangate.domain.plans.plan import short
from plangate.domain.runs.audit import AuditEntry, Drafted
from plangate.domain.runs.findings import Finding


class AttachedBytes(Typed):
    """The bytes of an attachment in a bundle; ``content`` is base64."""

    sha256: str
    content: str


def attachments_of_plans(entries: Iterable[AuditEntry]) -> Iterator[tuple[int, Attachment]]:
    """Yield every attachment of every plan, with the number of its entry."""
    for entry in entries:
        if isinstance(entry.event, Drafted):
            for step in entry.event.plan.steps:
                for attachment in attachments_in(step.observation):
                    yield entry.number, attachment


def attachment_digests(entries: Iterable[AuditEntry]) -> frozenset[str]:
    """Return the digests of the attachments in a run's plans."""
    return frozenset(attachment.sha256 for _, attachment in attachments_of_plans(entries))


def missing_attachments(
    workflow_id: str, trail: Iterable[AuditEntry], contents: Mapping[str, bytes]
) -> Iterator[Finding]:
    """Yield every attachment that is missing or does not match its digest in the plan.

    ``contents`` maps each digest to the bytes stored under it.
    """
    for number, attachment in attachments_of_plans(trail):
        content = contents.get(attachment.sha256)
        if content is None:
            wrong = "is missing"
        elif hashlib.sha256(content).hexdigest() != attachment.sha256:
            wrong = "has been changed"
        elif len(content) != attachment.bytes:
            wrong = f"has {len(content):,} bytes, but the plan states {attachment.bytes:,}"
        else:
            continue
        which = f"{one_line(attachment.name)} ({short(attachment.sha256)})"
        yield Finding(workflow_id=workflow_id, entry=number, what=f"the attachment {which} {wrong}")


def in_bundle(contents: Iterable[tuple[str, bytes]]) -> tuple[AttachedBytes, ...]:
    """Return stored bytes in the form of a bundle."""
    return tuple(
        AttachedBytes(sha256=digest, content=base64.b64encode(content).decode("ascii"))
        for digest, content in contents
    )


def wrong_attachments(
    workflow_id: str, trail: Iterable[AuditEntry], attached: Iterable[AttachedBytes]
) -> Iterator[Finding]:
    """Yield a finding for each attachment of a bundle that is missing, changed or extra."""
    trail, contents = list(trail), {}
    for one in attached:
        if one.sha256 in contents or one.sha256 not in attachment_digests(trail):
            what = f"no plan refers to the attachment {one_line(short(one.sha256))}, or it occurs twice"
            yield Finding(workflow_id=workflow_id, what=what)
        contents[one.sha256] = _decoded(one.content)
    yield from missing_attachments(workflow_id, trail, contents)


def _decoded(content: str) -> bytes:
    """Return the bytes; empty if ``content`` is not canonical base64."""
    try:
        found = base64.b64decode(content, validate=True)
    except (ValueError, binascii.Error):
        return b""
    return found if base64.b64encode(found).decode("ascii") == content else b""
