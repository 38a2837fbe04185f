"""The result of checking a proposed plan with a worker's tools, before it is sent as a decision."""

from plangate.domain.base import Frozen
from plangate.domain.faults import Fault


class PlanChecked(Frozen):
    """All errors in a plan; empty if a worker could draft it. Observations are not checked."""

    faults: tuple[Fault, ...] = ()
