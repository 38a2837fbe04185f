"""What a worker's tools say of a proposed plan before it is sent as a decision."""

from plangate.domain.base import Frozen
from plangate.domain.faults import Fault


class PlanChecked(Frozen):
    """Every fault of a plan; none if a worker could draft it. What its tools would observe is not known."""

    faults: tuple[Fault, ...] = ()
