"""The planner for a worker without a model. It does not import AutoGen, because that is slow."""

from typing import Final, NoReturn

from activities.planner import Brief
from activities.planners.function import FunctionPlanner
from activities.planners.limits import Limits
from plangate.domain.errors import NoModel

NO_MODEL: Final = (
    "No model is configured: set OPENAI_API_KEY, OPENAI_BASE_URL or PLANGATE_MODEL_CONFIG and restart "
    "the worker, or supply a plan, which needs no model."
)


class WithoutModel(FunctionPlanner):
    """Raises `NoModel` for every draft."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(_refuse, "none", {}, limits)

    @property
    def has_model(self) -> bool:
        """Return false: no model is configured."""
        return False

    async def draft(self, brief: Brief) -> NoReturn:
        """Raise NoModel."""
        del brief
        raise NoModel(NO_MODEL)


def _refuse(*_: object) -> NoReturn:
    raise NoModel(NO_MODEL)
