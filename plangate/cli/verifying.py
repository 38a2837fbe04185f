"""Examine a bundle offline: the file is all it takes.

The base package can do it: nothing here imports Temporal, a database or settings.
"""

from pathlib import Path
from typing import Final

from plangate.audit.evidence import Bundle, bundle_findings, bundle_notes, read_bundle
from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.screen import open_screen
from plangate.domain.escaping import one_line
from plangate.policy.people_file import read_people
from plangate.presentation.bundle_pages import bundle_page, findings_page, notes_page
from plangate.presentation.clock import now
from plangate.signing.jws import PUBLIC_PREFIX, checked_public

_MAX_BUNDLE: Final = 200_000_000  # bytes


def verify_bundle(
    path: Path, *, sealers: tuple[str, ...], people: Path | None, allow_unsealed: bool, as_json: bool
) -> int:
    """Examine a bundle by itself: no server, no records, no settings."""
    screen = open_screen(as_json=as_json)
    trusted = public_keys(sealers)
    bundle = _read_bundle(path)
    known = read_people(people) if people else None
    findings = [
        finding
        for finding in bundle_findings(bundle, trusted=trusted, people=known)
        if not (allow_unsealed and finding.is_unsealed)
    ]
    notes = bundle_notes(bundle, known, now()) if known and not findings else ()
    if screen.is_json:
        lists = {"findings": findings, "notes": notes}
        screen.print_json(
            {"workflow_id": bundle.workflow_id}
            | {name: [finding.model_dump() for finding in found] for name, found in lists.items()}
        )
    elif findings:
        screen.show(findings_page(findings, "This bundle does not prove what it says"))
    else:
        screen.show(bundle_page(bundle, is_trusted=bool(trusted), has_people=known is not None))
        screen.show(notes_page(notes, people))
    return Exit.FAILED if findings else Exit.DONE


def public_keys(texts: tuple[str, ...]) -> frozenset[str]:
    """Return the keys that public lines name.

    Raises:
        WrongUsage: a line is no public key.
    """
    for text in texts:
        if not text.startswith(PUBLIC_PREFIX):
            raise WrongUsage(
                f"A key to believe is named by its public line, {PUBLIC_PREFIX}…, as `keys seal` prints it; "
                f"{one_line(text)} is none."
            )
    try:
        return frozenset(checked_public(text) for text in texts)
    except ValueError as error:
        raise WrongUsage(f"A key to believe {error}; it looks like {PUBLIC_PREFIX}… .") from None


def _read_bundle(path: Path) -> Bundle:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BUNDLE + 1)
    except OSError as error:
        raise WrongUsage(f"The bundle {path} cannot be opened: {error.strerror}.") from None
    if len(content) > _MAX_BUNDLE:
        raise WrongUsage(f"The bundle {path} has more than {_MAX_BUNDLE:,} bytes.")
    try:
        return read_bundle(content)
    except (ValueError, RecursionError):
        raise WrongUsage(f"The file {path} holds no bundle as `audit export` writes it.") from None
