"""Find what the state of a run does not show: where it is held, and which steps were skipped or reversed."""

from dataclasses import dataclass

from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.run import StepState
from plangate.domain.runs.status import Status
from plangate.presentation.settlement_words import reversed_steps


@dataclass(frozen=True, slots=True)
class Deviations:
    """The numbers of the skipped and reversed steps, which the state of a run does not show.

    Attributes:
        skipped: the steps of an executed run that a person skipped.
        reversed: the steps whose effects the remote system has reversed.
    """

    skipped: tuple[int, ...] = ()
    reversed: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there are any such steps."""
        return bool(self.skipped or self.reversed)


def deviations_of(status: Status) -> Deviations:
    """Return the skipped and reversed steps, which the state of a run does not show."""
    is_executed = status.state == Outcome.EXECUTED
    skipped = (step.number for step in status.steps if is_executed and step.state is StepState.SKIPPED)
    return Deviations(tuple(skipped), tuple(step.number for step in reversed_steps(status.steps)))


def held_step(status: Status) -> int:
    """Return the number of the step at which a run is held; 0 if it is not held at a step."""
    held = status.held
    return held.step if held is not None and 1 <= held.step <= len(status.steps) else 0
