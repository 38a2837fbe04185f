"""Write the page of an open run for Temporal's Web UI: the plan, the deadline, and a decision to paste.

The page is Markdown for the Web UI's own renderer. The renderer keeps the line breaks of a paragraph, makes
quotes curly, and cuts off wide blocks. All untrusted text is therefore in code spans, which show it exactly
and wrap. The page is part of a URL, which proxies limit to 8,000 characters. If part of the plan is cut, the
page states this and does not offer a decision to paste: an approver must be able to read the whole plan.
"""

import json
import shlex
from datetime import datetime
from typing import Final, assert_never
from urllib.parse import quote

from pydantic import JsonValue

from plangate.domain.decisions.decision import PLACEHOLDER, Choice
from plangate.domain.escaping import cut, hosts_in_unicode, is_reordered, markdown_code
from plangate.domain.people.assurance import Assurance
from plangate.domain.plans.plan import Step, short
from plangate.domain.plans.references import references_in
from plangate.domain.plans.what_runs import what_runs
from plangate.domain.policies.requirement import missing_in_words
from plangate.domain.runs.audit import Decided, Drafted
from plangate.domain.runs.run import Approval, Phase, RunState, StepProgress, StepState
from plangate.domain.runs.status import Status, Unrecorded, current_step, status_of
from plangate.domain.runs.valid_approvals import counts_until, why_invalid
from plangate.domain.times.start_times import calendar_words
from plangate.presentation.clock import recorded
from plangate.presentation.disagreement_words import disagreement_lines
from plangate.presentation.duplicate_words import duplicate_lines
from plangate.presentation.held_page import UNDOING, excluded_words, is_partly_done
from plangate.presentation.markdown_parts import (
    changes_part,
    happened_part,
    hold_part,
    plain,
    resolving_part,
)
from plangate.presentation.reads_page import cut_words
from plangate.presentation.rolling_totals import NEEDS_MORE, sum_lines
from plangate.presentation.words import (
    NO_LONGER_VALID,
    RETRIED_IN_DOUBT,
    SUPPLIED,
    UNKNOWN_SENDER,
    author_words,
    proof_words,
    reference_words,
    spelled,
    status_command,
    step_name,
    verdict_word,
)

# Sizes in characters of a URL: proxies accept 8,000 for a whole URL. A letter takes 1, a space 3, a kanji 9.
_ROOM_FOR_STEPS: Final = 4_500
_ROOM_FOR_STEPS_OF_HELD: Final = 1_200  # shorter, to leave room for the decision
_ROOM_FOR_BEGINNING: Final = 300  # for a large held step
_ROOM_FOR_READS: Final = 1_200
_ROOM_FOR_CHANGES: Final = 1_200
_ROOM_FOR_DECISIONS: Final = 1_800
_ROOM_FOR_FEWER_DECISIONS: Final = 700
_ROOM_FOR_APPROVALS: Final = 700
_ROOM_FOR_WHAT_RUNS: Final = 900
_ROOM_FOR_MARKS: Final = 700
# Lengths in characters.
_ROOM_FOR_LINE: Final = 300
_ROOM_FOR_CAUSE: Final = 200
_ROOM_FOR_VALUE: Final = 1_000
_SHOWN_DECISIONS: Final = 5
_WHERE_THE_PLAN_IS: Final = (
    "The plan is under *Current Details*. If it is empty, no worker is running; `starter.py "
    "status` shows the plan anyway, and a decision that you send is stored until one runs."
)
_REORDERED: Final = "*This contains right-to-left letters and may be shown in a different order. Exactly:*"
_KINDS: Final = {  # text is the default, so it gets no label
    dict: "object",
    list: "list",
    bool: "yes or no",
    int: "number",
    float: "number",
    type(None): "nothing",
}


def summary_line(request: str) -> str:
    """Return the line that describes a run in the Web UI's lists."""
    first = next((line for line in request.splitlines() if line.strip()), SUPPLIED.capitalize())
    return markdown_code(cut(first.strip(), 120))


def request_page(request: str, requester: str) -> str:
    """Return the part of the page that never changes during a run: the requester and the request."""
    asked = f"{markdown_code(requester)} supplied the plan."
    if request.strip():
        asked = f"{markdown_code(requester)} asked for:\n{markdown_code(cut(request, _ROOM_FOR_VALUE))}"
    return f"{asked}\n\n{_WHERE_THE_PLAN_IS}"


def details_page(
    state: RunState, unrecorded: Unrecorded | None = None, at_work_since: datetime | None = None
) -> str:
    """Return the Web UI's page of the run in its current state.

    Args:
        state: the state of the run.
        unrecorded: the data that cannot be recorded now.
        at_work_since: when the current draft or step began, if any.
    """
    status = status_of(state, source="workflow")
    parts = [_heading(state, status), *([_what_waits(unrecorded)] if unrecorded else [])]
    if at_work_since and state.phase.is_at_work:
        parts.append(_running_since(state, status, at_work_since))
    if is_partly_done(status):
        parts.append(happened_part(status))
    if state.held is not None:
        parts.append(resolving_part(status))
    if state.drafted:
        is_reviewed = state.phase is Phase.IN_REVIEW
        changes = changes_part(status, _ROOM_FOR_CHANGES if is_reviewed else _ROOM_FOR_LINE)
        room = _ROOM_FOR_STEPS if state.held is None else _ROOM_FOR_STEPS_OF_HELD
        steps, has_all_steps = _steps(state, state.drafted, room)
        reads, has_all_reads = _reads(state, state.drafted)
        what, is_counted = _what_runs(state.drafted)
        is_whole = has_all_steps and has_all_reads and is_counted
        parts.insert(0 if state.held is None else len(parts), what)
        parts += [_plan(state, status, state.drafted), *([changes] if changes else []), *steps, *reads]
        if state.state == Phase.IN_REVIEW:
            parts.append(
                _how_to_decide(state, state.drafted)
                if is_whole
                else _how_to_read_it_all(state, state.drafted)
            )
    return "\n\n".join([*_marks(status), *parts, *_decisions(state)])


def _heading(state: RunState, status: Status) -> str:
    if state.closed:
        why = f"\n{markdown_code(cut(state.closed.reason, _ROOM_FOR_LINE))}" if state.closed.reason else ""
        return f"### Ended: {state.state}{why}"
    drafting = f"### Revision {state.next_revision} is being drafted"
    match state.phase:
        case Phase.DRAFTING:
            return drafting
        case Phase.IN_REVIEW:
            if state.drafted is None:
                return drafting
            return (
                f"### Waiting for a decision until {state.deadline:%Y-%m-%d %H:%M} UTC\n"
                f"Needs {state.drafted.requirement}.{_later(state)}{_may_not(status)}{_sums(status)}"
                f"{_so_far(state, status)}{_again(state)}{_times(state)}"
            )
        case Phase.EXECUTING:
            needs = state.drafted.requirement.needs if state.drafted else ()
            return f"### {'Approved' if needs else 'Needs no approval'}, being executed{_waiting(state)}"
        case Phase.HELD:
            return hold_part(status)
        case Phase.UNDOING:
            return f"### Undoing: {UNDOING}"
        case Phase.CLOSED:
            return f"### Ended: {state.state}"
        case _:
            assert_never(state.phase)


def _marks(status: Status) -> list[str]:
    """Return the disagreements and duplicates, for the top of the page."""
    lines = [("Check:", line) for line in disagreement_lines(status)]
    lines += [("Duplicate:", line) for line in duplicate_lines(status, lambda at: f"at {recorded(at)}")]
    shown: list[str] = []
    room = _ROOM_FOR_MARKS
    for label, line in lines:
        said = f"**{label}** {markdown_code(cut(line, _ROOM_FOR_LINE))}"
        room -= len(quote(said))
        if room < 0 and shown:
            shown.append("**The others do not fit on this page.**")
            break
        shown.append(said)
    return ["\n".join(shown)] if shown else []


def _waiting(state: RunState) -> str:
    """Describe when a step may begin; the page has no clock, so the sentence remains after that time."""
    if not state.approvals or any(step.state is not StepState.PENDING for step in state.steps):
        return _times(state)
    first = state.waits_until(max(approval.at for approval in state.approvals))
    if first is None:
        return _times(state)
    return (
        f"\nNo step begins before {first:%Y-%m-%d %H:%M:%S} UTC. Until then "
        f"`withdraw_approval` withdraws your own approval.{_times(state)}"
    )


def _times(state: RunState) -> str:
    """Describe when the plan runs, unless it can run at any time."""
    drafted = state.drafted
    if drafted is None:
        return ""
    lines = []
    if drafted.plan.not_before is not None:
        by = ", as the planner proposes" if drafted.planner is not None and not drafted.author else ""
        lines.append(f"Not before {drafted.plan.not_before:%Y-%m-%d %H:%M:%S} UTC{by}.")
    windows, freezes = drafted.requirement.windows, drafted.requirement.freezes
    lines += [f"Steps begin {calendar_words(one)} ({plain(one.name)})." for one in windows]
    lines += [f"No step begins {calendar_words(one)} ({plain(one.name)})." for one in freezes]
    return "".join(f"\n{line}" for line in lines)


def _may_not(status: Status) -> str:
    """List the people who may not approve, if there are any besides the requester."""
    return f" May not approve: {plain(excluded_words(status))}." if status.authors else ""


def _running_since(state: RunState, status: Status, since: datetime) -> str:
    """Describe where the attempts are shown, because a workflow has no access to attempts and pauses."""
    step = current_step(status)
    what = "The draft" if state.phase is Phase.DRAFTING else step_name(step or 0, len(state.steps))
    if state.phase is Phase.UNDOING:
        what = f"The undo of {what.lower()}"
    return (
        f"{what} was given to the workers at {since:%Y-%m-%d %H:%M:%S} UTC. This page cannot show "
        "whether it is running, retried, paused, or waiting because people have stopped the "
        f"steps: see *Pending Activities*, or\n{markdown_code(status_command(state.workflow_id))}"
    )


def _what_waits(unrecorded: Unrecorded) -> str:
    count = unrecorded.decisions
    what = [f"{count} decision{'s' if count > 1 else ''}"] if count else []
    what += ["the outcome"] if unrecorded.outcome else []
    return (
        f"**Not recorded yet, since {unrecorded.since:%Y-%m-%d %H:%M} UTC: {' and '.join(what)}.** "
        "New decisions are stored, and checked as soon as they can be recorded. The "
        f"cause:\n{markdown_code(cut(unrecorded.cause, _ROOM_FOR_CAUSE))}"
    )


def _again(state: RunState) -> str:
    if state.reopened is None:
        return ""
    if state.reopened.edit:
        why = markdown_code(cut(state.reopened.edit, _ROOM_FOR_LINE))
        return f"\nReopened {recorded(state.reopened.reopened_at)}, because {why}"
    said = [NEEDS_MORE] if state.reopened.requirement else []
    said += [lost.reason for lost in state.reopened.lost]
    reasons = markdown_code(cut("; ".join(said), _ROOM_FOR_LINE))
    return (
        f"\nReopened {recorded(state.reopened.reopened_at)}, when step {state.reopened.step} could not "
        f"begin, because {reasons}"
    )


def _later(state: RunState) -> str:
    """Return the other roles that may approve later, and their times."""
    return "".join(f" For {one.role}, {one}." for one in state.later_approvers)


def _sums(status: Status) -> str:
    """Return the rolling totals, one per line."""
    lines = (markdown_code(cut(line, _ROOM_FOR_LINE)) for line in sum_lines(status.sums))
    return "".join(f"\n*in total:* {line}" for line in lines)


def _so_far(state: RunState, status: Status) -> str:
    """Return the missing approvals, and each approval so far with its time and its expiry."""
    if not state.approvals:
        return ""
    still = missing_in_words(status.lacks)
    lines: list[str] = []
    room = _ROOM_FOR_APPROVALS
    for approval in state.approvals:
        line = _approval(state, approval)
        room -= len(quote(line))
        if room < 0 and lines:
            lines.append(f"{len(state.approvals) - len(lines)} more")
            break
        lines.append(line)
    return f"\n**Still needed: {still}.** Approved so far: {'; '.join(lines)}."


def _approval(state: RunState, approval: Approval) -> str:
    proof = proof_words(verified=approval.approver.is_proven)
    until = counts_until(state, approval)
    counts = f", valid until {recorded(until)}" if until else ""
    return f"{markdown_code(approval.approver.name)}{proof} at {recorded(approval.at)}{counts}"


def _what_runs(drafted: Drafted) -> tuple[str, bool]:
    """Return what the plan runs, in one line, and whether it is complete."""
    shown = markdown_code(what_runs(drafted.plan))
    if len(quote(shown)) > _ROOM_FOR_WHAT_RUNS:
        return "**The steps are too long to show on one line here.**", False
    return f"**What runs:** {shown}", True


def _plan(state: RunState, status: Status, drafted: Drafted) -> str:
    summary = markdown_code(cut(drafted.plan.summary, _ROOM_FOR_LINE))
    editor = markdown_code(drafted.author) if drafted.author else ""
    whose = f"*{author_words(by_planner=drafted.planner is not None, editor=editor)}*"
    edited = f", edited by {editor}{_edited_before(status)}" if editor else _edited_before(status)
    name = f"**Plan `{short(drafted.fingerprint)}`**, revision {drafted.revision}{edited}:"
    return "\n".join([name, summary, *_reordered(state, drafted.plan.summary), whose])


def _edited_before(status: Status) -> str:
    before = [one for one in status.edits if one.revision < status.revision][-_SHOWN_DECISIONS:]
    made = ", ".join(f"revision {one.revision} by {markdown_code(one.by)}" for one in before)
    return f" (edited before: {made})" if made else ""


def _reordered(state: RunState, *texts: str) -> list[str]:
    """Return how to print these texts exactly, if a screen may reorder them."""
    if not any(map(is_reordered, texts)):
        return []
    return [f"{_REORDERED} {markdown_code(status_command(state.workflow_id, as_json=True))}"]


def _steps(state: RunState, drafted: Drafted, room: int) -> tuple[list[str], bool]:
    """Return the steps that fit, a note on the others, and whether all fit."""
    parts: list[str] = []
    steps, is_whole = drafted.plan.steps, len(drafted.plan.summary) <= _ROOM_FOR_LINE
    for number in _most_needed_first(state):
        step, progress = steps[number - 1], state.shown_steps[number - 1]
        if state.held is not None and not parts:  # the reason of the hold is above
            progress = StepProgress(state=progress.state)
        shown = _step(state, step_name(number, len(steps)), step, progress)
        if state.held is not None and not parts and len(quote(shown)) > room:
            parts.append(_beginning(shown, _ROOM_FOR_BEGINNING))
            room, is_whole = 0, False
            continue
        room -= len(quote(shown))
        if room < 0:
            parts.append(_not_shown(len(steps) - len(parts), len(steps), "step"))
            return parts, False
        parts.append(shown)
        is_whole = is_whole and not _is_cut(step)
    return parts, is_whole


def _beginning(shown: str, room: int) -> str:
    """Return the lines of a step that fit, and a note if there are more."""
    kept: list[str] = []
    for line in shown.split("\n"):
        room -= len(quote(line))
        if room < 0 and kept:
            break
        kept.append(line)
    return "\n".join([*kept, "*The rest of this step is not shown here, because the page is limited.*"])


def _most_needed_first(state: RunState) -> list[int]:
    """Return the numbers of the steps in order; for a held run, the held step first and done steps last."""
    numbers = list(range(1, len(state.steps) + 1))
    if state.held is None:
        return numbers
    held = state.held.step
    return sorted(numbers, key=lambda one: (one != held, state.steps[one - 1].state.is_done_or_skipped, one))


def _not_shown(left: int, count: int, what: str) -> str:
    verb = "is" if left == 1 else "are"
    return f"**{left} of {count} {what}s {verb} not shown here, because the page is limited.**"


def _reads(state: RunState, drafted: Drafted) -> tuple[list[str], bool]:
    """Return what the planner read, truncated to the remaining space, and whether it is complete."""
    reads, room = drafted.plan.reads, _ROOM_FOR_READS
    if not reads:
        return [], True
    parts = ["**Read while drafting. This untrusted text is all that the planner saw:**"]
    for number, read in enumerate(reads, start=1):
        lines = [f"**Read {number} of {len(reads)}:** {markdown_code(read.tool)}"]
        lines += [_argument(state, argument, value) for argument, value in read.arguments.items()]
        lines += [f"*returned:* {markdown_code(read.result)}", *_reordered(state, read.result)]
        lines += [f"*{cut_words(read)}*"] if read.is_cut else []
        shown = "\n".join(lines)
        room -= len(quote(shown))
        if room < 0:
            parts.append(_not_shown(len(reads) - number + 1, len(reads), "read"))
            return parts, False
        parts.append(shown)
    return parts, True


def _step(state: RunState, name: str, step: Step, progress: StepProgress) -> str:
    lines = [f"**{name}:** {markdown_code(step.tool)}{_progress(progress)}"]
    if step.preview:
        lines.append(f"*preview:* {markdown_code(cut(step.preview, _ROOM_FOR_VALUE))}")
        lines += _reordered(state, step.preview)
    lines += [_argument(state, argument, value) for argument, value in step.arguments.items()]
    if step.observation is not None:
        lines.append(f"*when the plan was drafted:* {markdown_code(cut(_seen(step), _ROOM_FOR_VALUE))}")
        lines += _reordered(state, _seen(step))
    if step.reason:
        lines.append(f"*why:* {markdown_code(cut(step.reason, _ROOM_FOR_LINE))}")
        lines += _reordered(state, step.reason)
    return "\n".join(lines)


def _argument(state: RunState, name: str, value: JsonValue) -> str:
    reference = references_in({name: value}).get(name)
    if reference is not None:
        return f"{markdown_code(name)} (reference): {markdown_code(reference_words(reference))}"
    kind = _KINDS.get(type(value))
    label = f"{markdown_code(name)} ({kind})" if kind else markdown_code(name)
    text = cut(_text(value), _ROOM_FOR_VALUE)
    lines = [f"{label}: {markdown_code(text)}"]
    lines += [f"*host:* {markdown_code(str(one))}" for one in hosts_in_unicode(text)]
    lines += _reordered(state, name, _text(value))
    return "\n".join(lines)


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _seen(step: Step) -> str:
    return json.dumps(step.observation, ensure_ascii=False)


def _is_cut(step: Step) -> bool:
    shown = (step.preview, _seen(step), *map(_text, step.arguments.values()))
    return len(step.reason) > _ROOM_FOR_LINE or any(len(text) > _ROOM_FOR_VALUE for text in shown)


def _progress(progress: StepProgress) -> str:
    if progress.state is StepState.PENDING:
        doubt = markdown_code(cut(progress.doubt, _ROOM_FOR_LINE))
        return f" **{RETRIED_IN_DOUBT}**: {doubt}" if progress.doubt else ""
    last = progress.undo if progress.state is StepState.UNDONE else progress
    said = last.receipt.summary if last.receipt else last.reason
    detail = f": {markdown_code(cut(said, _ROOM_FOR_LINE))}" if said else ""
    detail += " (accepted, not final)" if progress.is_unsettled else ""
    return f" **{spelled(progress.state)}**{detail}"


def _how_to_read_it_all(state: RunState, drafted: Drafted) -> str:
    """Return where to read the whole plan, which replaces the instructions to approve it."""
    command = markdown_code(status_command(state.workflow_id))
    return (
        f"**Not all of plan `{short(drafted.fingerprint)}` is shown here, so this page does not offer to "
        f"approve it.** This command shows the whole plan, and how to decide on it:\n{command}"
    )


def _how_to_decide(state: RunState, drafted: Drafted) -> str:
    if drafted.requirement.assurance > Assurance.TYPED:
        is_login = drafted.requirement.assurance is Assurance.LOGIN
        accepted = "decisions in the inbox and signed decisions" if is_login else "signed decisions"
        command = f"python starter.py sign {shlex.quote(state.workflow_id)} approve --by {PLACEHOLDER}"
        return (
            f"**To decide:** this plan accepts only {accepted}. Print yours with this command, on the "
            "machine that has your key, and send it with *More Actions*, *Send a Signal*:\n"
            f"{markdown_code(command)}"
        )
    message = json.dumps({"by": PLACEHOLDER, "plan": short(drafted.fingerprint)})
    return (
        "**To decide:** *More Actions*, *Send a Signal*, choose `approve`, `reject` or `request_changes` "
        '(which also needs a `"comment"`), and paste this with your name:\n'
        f"{markdown_code(message)}{_how_to_withdraw(state)}"
    )


def _how_to_withdraw(state: RunState) -> str:
    if not state.approvals:
        return ""
    return "\n`withdraw_approval` withdraws your own approval, until the first step begins."


def _decisions(state: RunState) -> list[str]:
    """Return the newest decisions, newest first."""
    lines: list[str] = []
    is_long = state.held is not None or state.before is not None
    room = _ROOM_FOR_FEWER_DECISIONS if is_long else _ROOM_FOR_DECISIONS
    for decided in reversed(state.decisions[-_SHOWN_DECISIONS:]):
        decision = decided.arrival.decision
        who = markdown_code(decision.by) if decision else UNKNOWN_SENDER
        said = decision.decision if decision else decided.arrival.name
        proof = proof_words(verified=decided.approver is None or decided.approver.is_proven)
        how = _named(said)
        if decision and decision.resolution:
            how += f" step {decision.step}: {spelled(decision.resolution)},"
        line = f"{recorded(decided.arrival.received_at)} {who}{proof}: {how} {_verdict(state, decided)}"
        if decision and decision.comment:
            line += f"\n*comment:* {markdown_code(cut(decision.comment, _ROOM_FOR_LINE))}"
        room -= len(quote(line))
        if room < 0 and lines:
            break
        lines.append(line)
    earlier = len(state.decisions) + state.refusals_not_kept - len(lines)
    if earlier:
        lines.append(f"and {earlier} earlier, all in the audit trail")
    return ["\n".join(["**Decisions, the newest first:**", *lines])] if lines else []


def _verdict(state: RunState, decided: Decided) -> str:
    void = why_invalid(state, decided)
    if void:
        return f"**{NO_LONGER_VALID}**: {markdown_code(cut(void, _ROOM_FOR_LINE))}"
    verdict = verdict_word(accepted=decided.verdict.accepted)
    verdict = verdict if decided.verdict.accepted else f"**{verdict}**"
    return f"{verdict}: {markdown_code(cut(decided.verdict.reason, _ROOM_FOR_LINE))}"


def _named(decision: str) -> str:
    return spelled(decision) if decision in set(Choice) else markdown_code(decision)
