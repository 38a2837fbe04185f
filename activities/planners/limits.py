"""The limits of a draft, and the usage that a planner reports."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from plangate.domain.escaping import cut, one_line
from plangate.domain.runs.audit import ModelUse

MAX_QUOTE: Final = 300
"""The maximum number of characters that an error quotes from a model's answer."""
_LONGEST_NAME = 300


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one draft.

    Attributes:
        seconds: the maximum time.
        max_steps: the maximum number of steps of the plan.
        turns: the maximum number of model responses, if the planner reports them.
        tokens: the maximum number of tokens in prompts and responses, if reported; None for no limit.
        cost: the maximum cost, if reported; None for no limit.
    """

    seconds: float
    max_steps: int
    turns: int = 100
    tokens: int | None = None
    cost: Decimal | None = None


class Meter:
    """Counts the responses, tokens and cost that a planner reports."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._use = ModelUse(model="")
        self._turns = 0
        self._cost = Decimal(0)

    def usage(self, model: str) -> ModelUse:
        """Return the reported usage; ``model`` is the name to use if none was reported."""
        cost = f"{self._cost:f}" if self._cost else ""
        return self._use.model_copy(update={"model": self._use.model or model, "cost": cost})

    def count(
        self, model: str, prompt_tokens: int, completion_tokens: int, cost: Decimal
    ) -> tuple[str, str] | None:
        """Count one response; return a description of the exceeded limit with its setting, or None."""
        self._turns += 1
        self._cost += max(cost, Decimal(0)) if cost.is_finite() else 0
        self._use = ModelUse(
            model=cut(one_line(model), _LONGEST_NAME),
            prompt_tokens=self._use.prompt_tokens + max(prompt_tokens, 0),
            completion_tokens=self._use.completion_tokens + max(completion_tokens, 0),
        )
        tokens, limits = self._use.prompt_tokens + self._use.completion_tokens, self._limits
        if self._turns > limits.turns:
            return f"The draft took more than {limits.turns} model turns", "PLANGATE_DRAFT_TURNS"
        if limits.tokens is not None and tokens > limits.tokens:
            return f"The draft used {tokens:,} tokens, more than {limits.tokens:,}", "PLANGATE_DRAFT_TOKENS"
        if limits.cost is not None and self._cost > limits.cost:
            return f"The draft cost {self._cost:f}, more than {limits.cost:f}", "PLANGATE_DRAFT_COST"
        return None
