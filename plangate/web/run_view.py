"""Build the view of a run's checked status that the template shows.

It contains everything that will run, in full. A plan with an unopened collapsed section cannot be approved.
"""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from plangate.client.offline_status import NO_WORKER
from plangate.domain.decisions.decision import Choice
from plangate.domain.people.people import Identified, People, PersonRoles, same_person
from plangate.domain.plans.attachments import attachments_in
from plangate.domain.plans.duplicates import Duplicate, by_step
from plangate.domain.plans.reads import Read
from plangate.domain.plans.tool import Receipt
from plangate.domain.plans.what_runs import what_runs
from plangate.domain.runs.open_decisions import NeededDecision, needed_decisions
from plangate.domain.runs.run import Phase, StepState
from plangate.domain.runs.status import Status, StepStatus
from plangate.domain.times.start_times import calendar_words
from plangate.presentation.clock import now, recorded
from plangate.presentation.disagreements import DisagreementKind, disagreements
from plangate.presentation.held_page import is_partly_done
from plangate.presentation.problems import is_unknown, problems
from plangate.presentation.resolutions import would_be_undone
from plangate.presentation.rolling_totals import sum_lines
from plangate.presentation.run_page import is_over
from plangate.presentation.state_details import Deviations, deviations_of, held_step
from plangate.web.changes_view import Changes, changes_of
from plangate.web.contacts import contacts_in
from plangate.web.offered_decisions import delegators_of, offered
from plangate.web.values import Note, Value, notes_on, text_of, values_of

IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")
PDF: Final = "application/pdf"
NOT_BEGUN: Final = "not_begun"
_SERIOUS: Final = ("gap", "lookalike_host", "host", "letters")
"""The marks for hidden parts of text, most serious first."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """Facts that a run's own status does not contain.

    Attributes:
        people: the list of people; None if there is none.
        known: the recipients and hosts reached by executed runs that the visitor may see; None if unknown.
        familiar: the tools with enough executed runs that the visitor may see, so that new recipients are
            marked.
        last: the difference from the last similar executed plan, if any.
        tools: the tools of runs that the visitor may see, if the summary may mention one.
        is_same_requester: whether the same person requested that plan; otherwise it reached the same
            recipients.
        undelivered: the undelivered notices, for the requester and operators.
    """

    people: People | None = None
    known: Container[str] | None = None
    familiar: Container[str] = ()
    last: Changes | None = None
    is_same_requester: bool = False
    tools: Collection[str] = ()
    undelivered: tuple[str, ...] = ()


NO_CONTEXT: Final = RunContext()


@dataclass(frozen=True, slots=True)
class FileView:
    """One attachment of a step.

    Attributes:
        is_shown: whether a browser can show it.
        is_whole: whether the page itself shows all of it, as with an image.
    """

    name: str
    media_type: str
    size: int
    sha256: str
    fold: str
    is_shown: bool
    is_whole: bool


@dataclass(frozen=True, slots=True)
class StepView:
    """One step.

    Attributes:
        state: the name of its state: empty before it starts, ``not_begun`` where the run stopped or
            ended before it, ``unknown`` while its result is looked up, ``marked`` if a person marked it as
            done.
        would_be_undone: whether the resolution `undo` would undo its effect, if the run is held after it.
    """

    number: int
    tool: str
    preview: str
    why: Value | None
    state: str
    arguments: tuple[Value, ...]
    observed: tuple[Value, ...]
    files: tuple[FileView, ...]
    notes: tuple[Note, ...]
    undoable: bool
    failure: str
    receipt: Receipt | None
    details: tuple[Value, ...]
    settlement: str
    settled: str
    undo: str
    would_be_undone: bool | None


@dataclass(frozen=True, slots=True)
class ReadView:
    """One read by the planner while it drafted the plan."""

    number: int
    tool: str
    arguments: tuple[Value, ...]
    result: Value
    kept: int
    size: int
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Times:
    """The plan's times.

    Attributes:
        first: its earliest start, while it is in review; None if it can start immediately.
        waits_until: when the approved plan stops waiting; None if it does not wait.
        is_never: whether the plan can no longer start.
        windows: each window's name and its times.
        freezes: each freeze's name and its times.
    """

    first: datetime | None
    waits_until: datetime | None
    is_never: bool
    windows: tuple[tuple[str, str], ...]
    freezes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RunView:
    """The data for a run's page.

    Attributes:
        status: the checked status.
        deviations: the skipped and reversed steps, which the run's state does not show.
        what_runs: everything that runs, in one line.
        contradictions: where the text of the plan or its request contradicts the steps.
        others: the other marks in the steps, most serious first.
        wanted: the decisions that the run waits for, and who can make them.
        problems: the problems that delay the run, except decisions that no one can make, which are in the
            status.
        is_excluded: whether the author of the newest plan may not approve it.
        words_of: who wrote the summary and the reasons: ``planner``, ``requester`` or ``editor``.
        offers: the decisions that the visitor may take.
        delegators: the people for whom the visitor decides with delegated roles, with these roles.
        cannot_ask: whether they could request changes if a worker could redraft the plan.
        folds: the names of all collapsed sections.
    """

    status: Status
    deviations: Deviations
    what_runs: str
    contradictions: tuple[Note, ...]
    others: tuple[Note, ...]
    wanted: tuple[NeededDecision, ...]
    request: Value | None
    summary: Value | None
    is_excluded: bool
    words_of: str
    steps: tuple[StepView, ...]
    reads: tuple[ReadView, ...]
    changes: tuple[Changes, ...]
    context: RunContext
    sums: tuple[str, ...]
    times: Times
    problems: tuple[str, ...]
    offers: tuple[str, ...]
    delegators: tuple[PersonRoles, ...]
    cannot_ask: bool
    folds: tuple[str, ...]

    @property
    def has_no_worker(self) -> bool:
        """Whether no worker responds for the run, which therefore does not continue."""
        return self.status.source.endswith(NO_WORKER)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, so that no further step will start."""
        return is_over(self.status)

    @property
    def is_partly_done(self) -> bool:
        """Whether the page must show which steps happened and which did not."""
        return is_partly_done(self.status)

    @property
    def is_underway(self) -> bool:
        """Whether some steps of the run have started, and others may follow."""
        return self.status.state == Phase.EXECUTING and self.has_begun

    @property
    def has_begun(self) -> bool:
        """Whether any step has started."""
        return any(step.state not in ("", NOT_BEGUN) for step in self.steps)

    @property
    def to_be_undone(self) -> tuple[StepView, ...]:
        """The steps that the resolution `undo` would undo, in that order."""
        return tuple(step for step in reversed(self.steps) if step.would_be_undone)

    @property
    def held_tool(self) -> str:
        """The tool of the step at which the run is held; empty if it is not held at one."""
        number = held_step(self.status)
        return self.status.steps[number - 1].tool if number else ""

    @property
    def duplicates(self) -> tuple[tuple[Duplicate, ...], ...]:
        """For each step of this plan, the identical steps in other runs."""
        return by_step(self.status.repeated)

    @property
    def marks(self) -> tuple[Note, ...]:
        """All marks, except duplicates."""
        return (*self.contradictions, *self.others)


def view_of(status: Status, visitor: Identified, context: RunContext = NO_CONTEXT) -> RunView:
    """Return the data for a visitor's page of a run."""
    plan = status.plan
    known = context.known if status.state == Phase.IN_REVIEW else None
    is_stopped = status.state in (Phase.HELD, Phase.UNDOING) or is_over(status)
    steps = tuple(
        _step(status, step, known if step.tool in context.familiar else None, is_stopped=is_stopped)
        for step in status.steps
    )
    reads = tuple(_read(number, one) for number, one in enumerate(plan.reads if plan else (), start=1))
    summary = text_of("summary", plan.summary) if plan else None
    request = text_of("request", status.request) if status.request else None
    notes = {0: summary.notes if summary else (), **{step.number: tuple(_notes(step)) for step in steps}}
    offers = offered(status, visitor, now())
    return RunView(
        status=status,
        deviations=deviations_of(status),
        what_runs=what_runs(plan) if plan else "",
        contradictions=tuple(_disagreements(status, context)),
        others=tuple(_others(notes)),
        wanted=needed_decisions(status, context.people, now()),
        request=request,
        summary=summary,
        is_excluded=any(same_person(status.author, one) for one in status.authors),
        words_of="editor" if status.author else "planner" if status.planner else "requester",
        steps=steps,
        reads=reads,
        changes=changes_of(status),
        context=context,
        sums=tuple(sum_lines(status.sums)),
        times=_times(status),
        problems=tuple(problems(status.model_copy(update={"unmet": ()}), recorded)),
        offers=tuple(one.value for one in offers if one is not Choice.REQUEST_CHANGES or status.may_draft),
        delegators=delegators_of(status, visitor) if offers else (),
        cannot_ask=Choice.REQUEST_CHANGES in offers and not status.may_draft,
        folds=tuple(_folds(request, summary, steps, reads)),
    )


def _times(status: Status) -> Times:
    at, requirement = now(), status.requirement
    return Times(
        first=status.begins(at),
        waits_until=status.waits_until(at),
        is_never=status.can_never_begin(at),
        windows=tuple((one.name, calendar_words(one)) for one in requirement.windows) if requirement else (),
        freezes=tuple((one.name, calendar_words(one)) for one in requirement.freezes) if requirement else (),
    )


def contacts_of_run(status: Status) -> tuple[str, ...]:
    """Return every recipient and host in the plan."""
    return tuple(dict.fromkeys(one for step in status.steps for one in contacts_in(step.arguments)))


def _step(status: Status, step: StepStatus, known: Container[str] | None, *, is_stopped: bool) -> StepView:
    files = tuple(
        FileView(
            name=one.name,
            media_type=one.media_type,
            size=one.bytes,
            sha256=one.sha256,
            fold=f"s{step.number}-file{number}",
            is_shown=one.media_type in (*IMAGES, PDF),
            is_whole=one.media_type in IMAGES,
        )
        for number, one in enumerate(attachments_in(step.observation), start=1)
    )
    seen = {} if files or step.observation is None else step.observation
    observed = seen if isinstance(seen, dict) else {"observed": seen}
    preview = step.preview or step.tool
    receipt = step.receipt
    return StepView(
        number=step.number,
        tool=step.tool,
        preview=preview,
        why=text_of(f"s{step.number}-why", step.why) if step.why else None,
        state=_state(step, is_stopped=is_stopped),
        arguments=values_of(f"s{step.number}-", step.arguments, known),
        observed=values_of(f"s{step.number}-seen-", observed),
        files=files,
        notes=tuple(dict.fromkeys(notes_on(preview))),
        undoable=step.undoable,
        failure=step.failure,
        receipt=receipt,
        details=values_of("", receipt.details) if receipt else (),
        settlement=step.settlement.summary if step.settlement else "",
        settled=step.settlement.state.value if step.settlement else _accepted(step),
        undo=step.undo.state.value if step.undo else "",
        would_be_undone=would_be_undone(status, step),
    )


def _accepted(step: StepStatus) -> str:
    is_open = step.state is StepState.DONE and step.receipt is not None and not step.receipt.final
    return "open" if is_open else ""


def _state(step: StepStatus, *, is_stopped: bool) -> str:
    if step.is_retried_in_doubt or (step.state is StepState.PENDING and is_unknown(step)):
        return "unknown"
    if step.state is StepState.DONE and step.receipt is None:
        return "marked"
    if step.state is StepState.PENDING:
        return "begun" if step.is_begun else NOT_BEGUN if is_stopped else ""
    return step.state.value


def _read(number: int, read: Read) -> ReadView:
    return ReadView(
        number=number,
        tool=read.tool,
        arguments=values_of(f"r{number}-", read.arguments),
        result=text_of(f"r{number}", read.result),
        kept=read.kept,
        size=read.size,
        is_cut=read.is_cut,
    )


def _others(notes: Mapping[int, Sequence[Note]]) -> Iterator[Note]:
    """Yield each of the other marks once, most serious first, followed by all new recipients.

    Args:
        notes: the marks in each step, by its number, and in the summary, as 0.
    """
    found: dict[Note, set[int]] = {}
    for step, marks in notes.items():
        for one in marks:
            found.setdefault(one, set()).add(step)
    others = [
        replace(one, step=min(steps) if len(steps) == 1 else 0)
        for one, steps in found.items()
        if one.kind not in ("new", "order")
    ]
    yield from sorted(others, key=lambda one: _SERIOUS.index(one.kind) if one.kind in _SERIOUS else 0)
    new = [one.text for one in found if one.kind == "new"]
    if new:
        yield Note("new", ", ".join(new))


def _disagreements(status: Status, context: RunContext) -> Iterator[Note]:
    """Yield the places where the text of a plan or its request contradicts the steps."""
    plan = status.plan
    for one in disagreements(plan, context.tools, status.request) if plan is not None else ():
        suffix = "_of_nothing" if one.kind is DisagreementKind.SUMMARY_AMOUNT and not one.plan else ""
        yield Note(f"{one.kind.value}{suffix}", ", ".join(one.said), one.plan, one.step, one.formatted)


def _notes(step: StepView) -> Iterator[Note]:
    yield from step.notes
    for value in (*step.arguments, *step.observed, *([step.why] if step.why else [])):
        yield from value.notes


def _folds(
    request: Value | None,
    summary: Value | None,
    steps: tuple[StepView, ...],
    reads: tuple[ReadView, ...],
) -> Iterator[str]:
    values = [request, summary]
    for step in steps:
        values += [*step.arguments, *step.observed, step.why]
        yield from (one.fold for one in step.files)
    for read in reads:
        values += [*read.arguments, read.result]
    yield from (value.fold for value in values if value is not None and value.fold)
