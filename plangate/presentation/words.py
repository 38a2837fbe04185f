"""Define phrases shared by the printed pages and the pages in Temporal's Web UI.

Workflows import this module: it is deterministic and needs no terminal.
"""

import json
import shlex
from typing import Final, assert_never

from pydantic import JsonValue

from plangate.domain.decisions.decision import PLACEHOLDER
from plangate.domain.people.assurance import Assurance
from plangate.domain.plans.references import references_in
from plangate.domain.plans.tool import Reference
from plangate.presentation.program_name import program

UNKNOWN_SENDER: Final = "unknown sender"
NO_LONGER_VALID: Final = "no longer valid"
SUPPLIED: Final = "plan supplied by the requester"
RETRIED_IN_DOUBT: Final = "in doubt, its retry has no result yet"
WAITING: Final = "waiting to begin"
APPROVED_AND_WAITING: Final = f"approved, {WAITING}"


def spelled(word: str) -> str:
    """Return an identifier in readable form: ``in_doubt`` becomes 'in doubt'."""
    return word.replace("_", " ")


def verdict_word(*, accepted: bool) -> str:
    """Return the result of a decision in one word."""
    return "accepted" if accepted else "refused"


def proof_words(*, verified: bool) -> str:
    """Return the suffix for a name that was only typed; empty if a signature or a login proved it."""
    return "" if verified else " (not verified)"


def step_name(number: int, count: int) -> str:
    """Return the name of a step in a plan with ``count`` steps."""
    return f"Step {number} of {count}"


def author_words(*, by_planner: bool, editor: str = "") -> str:
    """Describe who wrote the summary, the reasons and the previews; ``editor`` is already escaped."""
    author = "the planner" if by_planner else "the requester"
    if editor:
        author = f"{editor}, who edited the plan, and its earlier authors"
    return (
        f"Summary and reasons were written by {author}; each step's tool wrote its preview. Only "
        "the steps and their arguments run."
    )


def reference_words(reference: Reference) -> str:
    """Return 'the number of step 2'; as JSON if the field's name could be read as something else."""
    is_plain = reference.field.isascii() and reference.field.isidentifier()
    return str(reference) if is_plain else reference.model_dump_json()


def value_words(value: JsonValue) -> str:
    """Return the value of an argument as JSON, where "7" and 7 differ; a reference as text."""
    reference = references_in({"": value}).get("")
    return json.dumps(value, ensure_ascii=False) if reference is None else reference_words(reference)


def step_command(workflow_id: str, step: int, more: str) -> str:
    """Return the command that resolves a run held at ``step``, with placeholders, ready for a shell."""
    options = f"--by {PLACEHOLDER} --step {step}{more}"
    run = shlex.quote(workflow_id)
    words = f"{options} -- {run}" if run.startswith(("-", "'-")) else f"{run} {options}"
    return f"{program()} resolve {words} RESOLUTION"


def status_command(workflow_id: str, *, as_json: bool = False) -> str:
    """Return the command that shows a run, ready for a shell.

    An id that looks like an option is put after ``--``.
    """
    run = shlex.quote(workflow_id)
    if not as_json:
        return f"{program()} status {run}"
    words = f"--json -- {run}" if run.startswith(("-", "'-")) else f"{run} --json"
    return f"{program()} status {words}"


def must_be_proven(least: Assurance | None) -> str:
    """Return the proof that decisions need if a typed name is not enough, phrased to follow 'Decisions'."""
    return "require signing in to the inbox, or a signature" if least is Assurance.LOGIN else "must be signed"


def batch_words(batch: int | None) -> str:
    """Return the suffix for a proof that covers several plans at once; empty for one plan."""
    return "" if batch is None else f", one confirmation for {batch} plans"


def how_proven(
    assurance: Assurance, key_id: str | None, origin: str | None = None, batch: int | None = None
) -> str:
    """Return how the person who decided was identified, with the key."""
    match assurance:
        case Assurance.TYPED:
            return "not verified"
        case Assurance.LOGIN:
            return f"logged in, attested by the web server {key_id}"
        case Assurance.SIGNED if origin is not None:
            return f"signed by passkey {key_id} at {origin}{batch_words(batch)}"
        case Assurance.SIGNED:
            return f"signed with {key_id}"
        case _:
            assert_never(assurance)
