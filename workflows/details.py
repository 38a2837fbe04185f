"""The page that Temporal's Web UI shows of an open run: the plan, the deadline, a decision ready to paste.

Markdown, and everything in it that came from outside is escaped or fenced. The page travels in a URL, hence
it is cut to a few kilobytes, and says so where it is.
"""

import json
from typing import Final

from plangate.domain.plan import Step, short
from plangate.domain.run import RunState, StepState
from plangate.domain.visible import cut, markdown_block, markdown_line

_ROOM_FOR_STEPS: Final = 2_400
_ROOM_FOR_LINE: Final = 300
_SHOWN_DECISIONS: Final = 5


def summary_line(request: str) -> str:
    """Return the one line that stands for a run in the lists of the Web UI."""
    first = next((line for line in request.splitlines() if line.strip()), "A plan brought along")
    return markdown_line(cut(first.strip(), 120))


def request_page(request: str, requester: str) -> str:
    """Return the page that stays the same for the whole life of a run: who asked for what."""
    asked = markdown_block(cut(request, 1_500)) if request.strip() else "A ready plan was brought along."
    return f"Requested by **{markdown_line(requester)}**:\n\n{asked}"


def details_page(state: RunState) -> str:
    """Return what the Web UI shows of the run as it stands."""
    parts = [f"**State:** {state.state}"]
    if state.closed and state.closed.reason:
        parts.append(f"**Why:** {_line(state.closed.reason)}")
    if state.drafted:
        parts += [*_plan(state), *_how_to_decide(state)]
    return "\n\n".join([*parts, *_decisions(state)])


def _plan(state: RunState) -> list[str]:
    drafted = state.drafted
    assert drafted is not None
    parts = [
        (
            f"**Plan `{short(drafted.fingerprint)}`**, revision {drafted.revision}: "
            f"{_line(drafted.plan.summary)}"
        ),
        f"**Needs:** {drafted.requirement}. **Deadline:** {drafted.deadline:%Y-%m-%d %H:%M:%S} UTC",
    ]
    room = _ROOM_FOR_STEPS
    for number, (step, progress) in enumerate(zip(drafted.plan.steps, state.steps, strict=True), start=1):
        shown = _step(number, step, "" if progress.state is StepState.PENDING else f" ({progress.state})")
        if len(shown) > room:
            left = len(drafted.plan.steps) - number + 1
            parts.append(
                f"**{left} of {len(drafted.plan.steps)} steps not shown here for want of room.** "
                f"Read the whole plan before you decide: `python starter.py status {state.workflow_id}`"
            )
            break
        room -= len(shown)
        parts.append(shown)
    return parts


def _step(number: int, step: Step, progress: str) -> str:
    arguments = json.dumps(step.arguments, ensure_ascii=False, indent=2)
    why = f" — {_line(step.reason)}" if step.reason else ""
    return f"{number}. **{markdown_line(step.tool)}**{progress}{why}\n\n{markdown_block(arguments, 'json')}"


def _how_to_decide(state: RunState) -> list[str]:
    drafted = state.drafted
    if drafted is None or state.state != "in_review":
        return []
    message = json.dumps({"by": "YOUR-NAME", "plan": short(drafted.fingerprint)})
    return [
        (
            "**To decide:** *Send a Signal*, choose `approve`, `reject` or `request_changes` "
            "(which needs a `comment` too), and paste, with your name in it:"
        ),
        markdown_block(message, "json"),
    ]


def _decisions(state: RunState) -> list[str]:
    if not state.decisions:
        return []
    lines = []
    for decided in state.decisions[-_SHOWN_DECISIONS:]:
        decision = decided.arrival.decision
        who = markdown_line(decision.by) if decision else "somebody"
        said = decision.decision if decision else decided.arrival.name
        verdict = "accepted" if decided.verdict.accepted else "**refused**"
        lines.append(f"- {who}: {markdown_line(said)}, {verdict}: {_line(decided.verdict.reason)}")
    earlier = len(state.decisions) + state.refusals_not_kept - len(lines)
    if earlier:
        lines.append(f"- and {earlier} earlier ones, all on the audit trail")
    return ["**Decisions:**\n\n" + "\n".join(lines)]


def _line(text: str) -> str:
    return markdown_line(cut(text, _ROOM_FOR_LINE))
