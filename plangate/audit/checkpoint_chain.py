"""Verify the stored checkpoints: the signature and the seals of each, and that they form one chain."""

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection

from plangate.domain.base import Frozen
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import FIRST_HASH
from plangate.domain.runs.checkpoint import Checkpoint
from plangate.domain.runs.findings import Finding
from plangate.records.checkpoints import (
    all_numbers,
    checkpoint_of,
    numbers_of_run,
    seals_of_checkpoint,
)
from plangate.signing.checkpoints import broken_checkpoint, claims_of, unknown_sealer


class Chain(Frozen):
    """The result of verifying the checkpoints; ``sealers`` are the distinct public keys that signed them."""

    count: int
    sealers: tuple[str, ...]
    findings: tuple[Finding, ...]


def examine_chain(connection: Connection, trusted: frozenset[str]) -> Chain:
    """Verify all checkpoints, and that each follows the previous one."""
    findings: list[Finding] = []
    sealers: dict[str, None] = {}
    previous, number = FIRST_HASH, 0
    numbers = all_numbers(connection)
    for stored in numbers:
        if stored > number + 1:
            findings.append(_missing(number + 1, stored - 1))
        checkpoint = _read(connection, stored, findings)
        if checkpoint is None:
            number = stored
            continue
        sealers[checkpoint.public_key] = None
        findings += _examined(connection, checkpoint)
        if stored == number + 1 and previous and _previous_of(checkpoint) not in (previous, None):
            findings.append(_of_records(f"checkpoint {stored} does not link to the previous one"))
        previous, number = checkpoint.hash, stored
    findings += _untrusted(sealers, trusted)
    return Chain(count=len(numbers), sealers=tuple(sealers), findings=tuple(findings))


def examine_checkpoints_of(connection: Connection, workflow_id: str, trusted: frozenset[str]) -> Chain:
    """Verify the checkpoints that seal one run, without the chain between them."""
    findings: list[Finding] = []
    numbers = numbers_of_run(connection, workflow_id)
    found = [one for one in (_read(connection, number, findings) for number in numbers) if one]
    for checkpoint in found:
        findings += _examined(connection, checkpoint)
    sealers = dict.fromkeys(checkpoint.public_key for checkpoint in found)
    findings += _untrusted(sealers, trusted)
    return Chain(count=len(found), sealers=tuple(sealers), findings=tuple(findings))


def saved_checkpoint_findings(
    connection: Connection, kept: Checkpoint | None, where: str = "elsewhere"
) -> Iterator[Finding]:
    """Yield a finding if the checkpoint ``kept`` elsewhere is missing from the records or differs there.

    Args:
        connection: a connection to the records.
        kept: the checkpoint, or None.
        where: where it was kept, for the message.
    """
    if kept is None:
        return
    findings: list[Finding] = []
    stored = _read(connection, kept.number, findings)
    if stored is None:
        last = max(all_numbers(connection), default=0)
        words = (
            f"the checkpoints end with {last}"
            if last < kept.number
            else f"checkpoint {kept.number} is missing"
        )
        yield _of_records(f"{words}, but checkpoint {kept.number} was kept {where}")
    elif stored.hash != kept.hash:
        yield _of_records(f"checkpoint {kept.number} differs from the one that was kept {where}")


def _read(connection: Connection, number: int, findings: list[Finding]) -> Checkpoint | None:
    try:
        return checkpoint_of(connection, number)
    except ValueError:
        findings.append(_of_records(f"checkpoint {number} is malformed"))
        return None


def _examined(connection: Connection, checkpoint: Checkpoint) -> Iterable[Finding]:
    try:
        leaves = [seal.leaf() for seal in seals_of_checkpoint(connection, checkpoint.number)]
        wrong = broken_checkpoint(checkpoint, leaves)
    except (ValueError, TypeError) as error:
        wrong = f"seals values that Plangate never writes ({one_line(str(error).splitlines()[0])})"
    return [_of_records(f"checkpoint {checkpoint.number} {wrong}")] if wrong else []


def _untrusted(sealers: Iterable[str], trusted: frozenset[str]) -> Iterator[Finding]:
    """Yield each signing key that is not trusted; nothing if ``trusted`` is empty."""
    for key in sealers:
        if trusted and key not in trusted:
            yield _of_records(unknown_sealer(key))


def _missing(first: int, last: int) -> Finding:
    return _of_records(
        f"checkpoint {first} is missing" if first == last else f"checkpoints {first} to {last} are missing"
    )


def _previous_of(checkpoint: Checkpoint) -> str | None:
    try:
        return claims_of(checkpoint).previous
    except ValueError:
        return None  # reported by _examined


def _of_records(what: str) -> Finding:
    return Finding(workflow_id="", what=what)
