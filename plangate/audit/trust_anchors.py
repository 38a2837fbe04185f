"""The trust anchors of an audit: the keys, people and checkpoints that the auditor trusts in advance."""

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.people.people import People
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb
from plangate.domain.runs.checkpoint import Checkpoint


class Trust(Frozen):
    """The keys, people and checkpoints that the auditor trusts.

    Attributes:
        sealers: public keys that may sign checkpoints, as base64url; empty to trust those in the records.
        people: the people whose keys may sign, and who may enroll others; None to trust those in the
            trail.
        web: the sites where passkeys may be used, and the servers that may attest logins; by default, those
            in the lists.
        now: approvals revoked by this time are reported as notes; None for no notes.
        saved: the newest checkpoint that was saved elsewhere; it must still be recorded.
        where: where it was saved, in the form ``in FILE``.
    """

    sealers: frozenset[str] = frozenset()
    people: People | None = None
    web: TrustedWeb = ANY_WEB
    now: AwareDatetime | None = None
    saved: Checkpoint | None = None
    where: str = "elsewhere"
