"""Resolve references: take the values of arguments from the receipts of the earlier steps of the run."""

from collections.abc import Mapping, Sequence
from typing import assert_never

from pydantic import JsonValue

from plangate.domain.errors import StepUnready
from plangate.domain.plans.references import references_in
from plangate.domain.plans.tool import Reference
from plangate.domain.runs.run import StepProgress, StepState


def resolve_references(
    arguments: Mapping[str, JsonValue], steps: Sequence[StepProgress]
) -> dict[str, JsonValue]:
    """Return the values of the arguments that are references, from the receipts of the earlier steps.

    Raises:
        StepUnready: the step has no receipt, or the receipt does not have the field.
    """
    return {name: _value(steps, reference) for name, reference in references_in(arguments).items()}


def _value(steps: Sequence[StepProgress], reference: Reference) -> JsonValue:
    source = reference.from_step
    progress = steps[source - 1] if source <= len(steps) else StepProgress()
    if progress.receipt is None:
        raise StepUnready(f"It needs {reference}, but {_without_receipt(progress)}.")
    if reference.field not in progress.receipt.details:
        raise StepUnready(f"It needs {reference}, but the receipt of that step does not have it.")
    return progress.receipt.details[reference.field]


def _without_receipt(progress: StepProgress) -> str:
    match progress.state:
        case StepState.SKIPPED:
            return "that step was skipped"
        case StepState.DONE:
            return "a person marked that step as done, so it has no receipt"
        case StepState.PENDING | StepState.FAILED | StepState.IN_DOUBT | StepState.UNDONE:
            return "that step is not done"
        case _:
            assert_never(progress.state)
