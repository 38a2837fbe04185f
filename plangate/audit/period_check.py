"""Verify the evidence of a period offline: no run was left out, added, truncated or changed.

1. Every line is in the exact format and in the right place; runs are in the order of their ids, and each
   occurs once.
2. Every checkpoint has a trusted signature and follows the previous one, without a gap. The first was made
   before the period, and the next one during it; the last one closes the period, and no earlier one does.
3. Every entry that a checkpoint seals is in the file: a leaf without an entry shows that a run was left out.
4. These checkpoints seal every run up to its last entry, and every run belongs to this installation and is
   intact (`plangate.audit.evidence`, 4 to 8).
5. The totals match the entries.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from plangate.audit.delegations import policies_of_lists
from plangate.audit.evidence import Bundle, bundle_notes, read_exactly, run_findings, with_keys_of
from plangate.audit.period import (
    AnyLine,
    CheckpointLine,
    Counting,
    Line,
    Opening,
    OwnTrailLine,
    RunLine,
    TextLine,
    Totals,
)
from plangate.audit.period_checkpoints import PeriodCheckpoints
from plangate.audit.review_starts import foreign_plans
from plangate.audit.rule_references import referenced_rules
from plangate.domain.escaping import one_line
from plangate.domain.people.people import People
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb
from plangate.domain.plans.plan import short
from plangate.domain.runs.audit import OWN_TRAILS, AuditEntry, RuleText, WrittenEntry
from plangate.domain.runs.findings import Finding, broken_links, readable

_ORDER: Final[tuple[type | tuple[type, ...], ...]] = (
    Opening, CheckpointLine, OwnTrailLine, (TextLine, RunLine), Totals,
)  # fmt: skip


def is_period(first_line: bytes) -> bool:
    """Return whether a file with this first line claims to be the evidence of a period."""
    try:
        return isinstance(read_exactly(AnyLine, first_line).root, Opening)
    except (ValueError, RecursionError):
        return False


class PeriodCheck:
    """Checks one file, line by line; read all `findings` before any other attribute.

    Args:
        trusted: public keys that may sign checkpoints, as base64url; empty to trust those in the file.
        people: the people whose keys are trusted; None to trust the keys in the file.
        now: report approvals that were revoked by this time as notes.
        web: the sites where passkeys may be used, and the servers that may attest logins; by default, those
            in the file.

    Attributes:
        opening: the first line.
        totals: the totals, recomputed from the entries.
        checkpoints: the checkpoints of the file; set once the first line is read.
        notes: the approvals that would not be valid today according to ``people``.
    """

    def __init__(
        self,
        *,
        trusted: frozenset[str],
        people: People | None,
        now: datetime,
        web: TrustedWeb = ANY_WEB,
    ) -> None:
        self._trusted, self._people, self._now, self._web = trusted, people, now, web
        self.opening: Opening | None = None
        self.totals = Totals()
        self.checkpoints: PeriodCheckpoints | None = None
        self.notes: list[Finding] = []
        self._counting: Counting | None = None
        self._ended: Totals | None = None
        self._texts: dict[str, RuleText] = {}
        self._unused_texts: list[str] = []
        self._is_intact = True
        self._previous: tuple[int, str] = (0, "")

    def findings(self, lines: Iterable[bytes]) -> Iterator[Finding]:
        """Yield the findings about the lines of a file."""
        for number, raw in enumerate(lines, start=1):
            try:
                line = read_exactly(AnyLine, raw).root
            except (ValueError, RecursionError):
                yield _finding(f"line {number} is not in the form that Plangate writes")
                continue
            yield from self._wrong_position(number, line)
            yield from self._checked(line)
        yield from self._final_findings()

    def _wrong_position(self, number: int, line: Line) -> Iterator[Finding]:
        rank = next(rank for rank, kind in enumerate(_ORDER) if isinstance(line, kind))
        name = line.workflow_id if isinstance(line, OwnTrailLine | RunLine) else ""
        if isinstance(line, TextLine) and self._previous[0] == rank:
            name = self._previous[1]  # it precedes the next run
        place = (rank, name)
        is_single = isinstance(line, Opening | Totals | OwnTrailLine | RunLine)
        if place < self._previous or (is_single and place == self._previous and number > 1):
            yield _finding(f"line {number} is out of place: {_words(line)} is repeated or too late")
        if (number == 1) is not isinstance(line, Opening):
            yield _finding(f"line {number} is out of place: {_words(line)}")
        self._previous = max(self._previous, place)

    def _checked(self, line: Line) -> Iterator[Finding]:
        match line:
            case Opening():
                self.opening, self._counting = line, Counting(line.since, line.until)
                self.checkpoints = PeriodCheckpoints(line, self._trusted)
                if line.since >= line.until:
                    yield _finding("the period ends before it begins")
            case CheckpointLine():
                yield from self.checkpoints.follow(line) if self.checkpoints else ()
            case OwnTrailLine():
                yield from self._own_trail(line)
            case TextLine():
                if line.text.hash in self._texts:
                    yield _finding(f"the text {short(line.text.hash)} occurs twice")
                self._texts[line.text.hash] = line.text
                self._unused_texts.append(line.text.hash)
            case RunLine():
                yield from self._run(line)
            case Totals():
                self._ended = line

    # ---- trails -----------------------------------------------------------------------------------

    def _own_trail(self, line: OwnTrailLine) -> Iterator[Finding]:
        name = line.workflow_id
        if name not in OWN_TRAILS:
            yield Finding(workflow_id=name, what="is the trail of a run, but is listed among Plangate's own")
        yield from broken_links(name, line.entries)
        yield from (one for one in readable(line.entries) if isinstance(one, Finding))
        if not line.entries:
            yield Finding(workflow_id=name, what="has no entries here")
        yield from self._unsealed(name, line.entries)

    def _run(self, line: RunLine) -> Iterator[Finding]:
        run = line.workflow_id
        if run in OWN_TRAILS:
            yield Finding(workflow_id=run, what="is not the trail of a run")
        trail = [one for one in readable(line.entries) if isinstance(one, AuditEntry)]
        named = set(referenced_rules(trail))
        named |= policies_of_lists([self._texts[name] for name in named if name in self._texts])
        for text in self._unused_texts:
            if text not in named:
                yield _finding(f"the text {short(text)} precedes {one_line(run)}, which does not use it")
        self._unused_texts = []
        bundle = Bundle(
            workflow_id=run,
            story=line.story,
            entries=line.entries,
            texts=tuple(self._texts[name] for name in sorted(named) if name in self._texts),
            checkpoints=(),
            attachments=line.attachments,
        )
        found = [
            *run_findings(bundle, self._people, self._web),
            *foreign_plans(run, trail, self.opening.installation if self.opening else ""),
            *self._unsealed(run, line.entries),
        ]
        yield from found
        if not all(one.is_unsealed for one in found):
            self._is_intact = False  # such a run is not counted
            return
        if self._counting is not None:
            self._counting.add(run, trail)
        if self._people is not None:
            known = with_keys_of(bundle, self._people, self._web)
            self.notes += bundle_notes(bundle, known, self._now)

    def _unsealed(self, name: str, entries: Sequence[WrittenEntry]) -> Iterator[Finding]:
        if self.checkpoints is not None:
            yield from self.checkpoints.match_entries(name, entries)

    # ---- the end ----------------------------------------------------------------------------------

    def _final_findings(self) -> Iterator[Finding]:
        if self._ended is None:
            yield _finding("the file ends without its totals: its end was cut off")
        if self._unused_texts:
            yield _finding("the file ends with rule texts to which no run refers")
        if self.checkpoints is None or self._counting is None:
            return
        yield from self.checkpoints.finish()
        self.totals = self._counting.totals()
        if self._is_intact:
            yield from _other_totals(self._ended, self.totals)


def _other_totals(stated: Totals | None, true: Totals) -> Iterator[Finding]:
    given, found = (stated or true).model_dump(), true.model_dump()
    for name in found:
        if given[name] != found[name]:
            words = f"{one_line(str(given[name]))}; according to the entries it is {found[name]}"
            yield _finding(f"the total {name!r} is stated as {words}")


def _words(line: Line) -> str:
    match line:
        case CheckpointLine():
            return f"checkpoint {line.checkpoint.number}"
        case OwnTrailLine() | RunLine():
            return one_line(line.workflow_id)
        case TextLine():
            return f"the text {short(line.text.hash)}"
        case Opening():
            return "the opening of a period"
        case Totals():
            return "the totals"


def _finding(what: str) -> Finding:
    return Finding(workflow_id="", what=what)
