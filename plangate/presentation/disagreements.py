"""Find where the text of a plan disagrees with its steps: amounts, addresses and tools that no step contains.

Only clear cases are marked, because people ignore warnings that are often wrong:

- An amount is a number with its currency. Dates, ids and reference numbers are not amounts.
- Each text is compared as a whole: if one of its amounts is in the plan, the others are ignored.
- An amount in a step is marked if the texts and the summary mention only other amounts.
- The request is the only text that the planner did not write: its amounts, addresses and hosts are compared
  with the steps.
- Amounts that a step takes from an earlier step are not known yet, so no amounts are marked in such plans.

    >>> from plangate.domain.plans.plan import Plan, Step
    >>> refund = Step(tool="refund", arguments={"amount": 42.5, "currency": "EUR"})
    >>> mail = Step(tool="send_email", arguments={"body": "You get 425.00 EUR back."})
    >>> (found,) = disagreements(Plan(summary="Refund it", steps=(refund, mail)))
    >>> found.kind.value, found.step, found.said, found.plan
    ('text_amount', 2, ('425.00 EUR',), ('42.50 EUR',))
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from plangate.domain.plans.plan import Plan
from plangate.domain.plans.references import references_in
from plangate.presentation.amounts import (
    LONGEST,
    Amount,
    amounts_in_arguments,
    amounts_in_texts,
    bare_numbers_in,
    numbers_in,
    structured_in,
    texts_in,
    totals_of,
    written,
)
from plangate.presentation.request_mentions import (
    HOST,
    MAIL,
    Named,
    addresses_of_request,
    amounts_of_request,
    unnamed,
)

_MOST: Final = 5
"""The maximum number of amounts or names in one mark."""
_TOOL: Final = re.compile(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b")


class DisagreementKind(StrEnum):
    """The kinds of disagreements.

    Attributes:
        TEXT_AMOUNT: no amount in a step's text is in the plan.
        SUMMARY_AMOUNT: no amount in the summary is in a step.
        SUMMARY_ADDRESS: the summary mentions an email address or a host that no step contains.
        SUMMARY_TOOL: the summary mentions a tool that no step uses.
        STEP_AMOUNT: the text does not mention an amount in a step, and mentions other amounts.
        REQUEST_AMOUNT: the request mentions an amount that no step contains, and a step contains another.
        REQUEST_ADDRESS: the request mentions an address or host that no step contains; the steps have others.
    """

    TEXT_AMOUNT = "text_amount"
    SUMMARY_AMOUNT = "summary_amount"
    SUMMARY_ADDRESS = "summary_address"
    SUMMARY_TOOL = "summary_tool"
    STEP_AMOUNT = "step_amount"
    REQUEST_AMOUNT = "request_amount"
    REQUEST_ADDRESS = "request_address"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One disagreement.

    Attributes:
        step: the number of the step that contains the text; 0 for the summary.
        said: the amounts or names as written in the text.
        plan: what the plan contains instead; empty if it contains nothing of this kind.
        formatted: the amounts in ``plan`` in English notation; all others are quoted from a text.
    """

    kind: DisagreementKind
    step: int
    said: tuple[str, ...]
    plan: tuple[str, ...] = ()
    formatted: frozenset[str] = frozenset()


def disagreements(plan: Plan, tools: Collection[str] = (), request: str = "") -> tuple[Disagreement, ...]:
    """Return where the text of a plan, or of its request, disagrees with its steps.

    Args:
        plan: the plan.
        tools: the names of other known tools.
        request: the request, as the requester wrote it.
    """
    found = []
    if not any(references_in(step.arguments) for step in plan.steps):
        found = list(_amounts(plan))
        found += _requested(DisagreementKind.REQUEST_AMOUNT, amounts_of_request(plan, request))
    found += _requested(DisagreementKind.REQUEST_ADDRESS, addresses_of_request(plan, request))
    return (*found, *_addresses(plan), *_tools(plan, tools))


def mentions_tools(summary: str) -> bool:
    """Return whether a summary contains possible tool names, in which case the known tools must be read."""
    return _TOOL.search(summary[:LONGEST]) is not None


def _requested(kind: DisagreementKind, named: Named | None) -> Iterator[Disagreement]:
    if named is not None:
        yield Disagreement(kind, 0, named.said[:_MOST], named.steps[:_MOST], named.formatted)


def _amounts(plan: Plan) -> Iterator[Disagreement]:
    structured = [one for step in plan.steps for one in structured_in(step.arguments)]
    totals = totals_of(structured)
    summary = written(plan.summary)
    numbers = {one for step in plan.steps for one in numbers_in(step.arguments)}
    texts = [(number, amounts_in_texts(step)) for number, step in enumerate(plan.steps, start=1)]
    shown: list[str] = []
    for number, in_text in texts:
        known = [one for one in (*structured, *summary, *totals) if any(map(one.is_comparable, in_text))]
        if in_text and known and not _is_supported(in_text, known, numbers):
            shown += _shown(known)
            yield _of_amounts(DisagreementKind.TEXT_AMOUNT, number, in_text, known)
    in_texts = [one for _, in_text in texts for one in in_text]
    of_steps = [*structured, *in_texts, *totals]
    if summary and not shown and not _is_supported(summary, of_steps, numbers):
        shown += _shown(of_steps)
        yield _of_amounts(DisagreementKind.SUMMARY_AMOUNT, 0, summary, of_steps)
    yield from _not_named(plan, [*summary, *in_texts], shown)


def _not_named(plan: Plan, words: list[Amount], shown: Collection[str]) -> Iterator[Disagreement]:
    """Yield the amounts in steps that the text does not mention, unless another mark shows them."""
    moved = [one for step in plan.steps for one in amounts_in_arguments(step.arguments)]
    texts = [
        plan.summary,
        *(text for step in plan.steps for _, text in texts_in(step.arguments) if " " in text),
    ]
    bare = {value for text in texts for _, values in bare_numbers_in(text) for value in values}
    not_named, others = unnamed(moved, words, bare)
    if others and not {one.text for one in not_named} <= set(shown):
        yield _of_amounts(DisagreementKind.STEP_AMOUNT, 0, others, not_named)


def _of_amounts(
    kind: DisagreementKind, step: int, said: Iterable[Amount], plan: Collection[Amount]
) -> Disagreement:
    formatted = frozenset(one.text for one in plan if not one.is_quoted)
    return Disagreement(kind, step, _shown(said), _shown(plan), formatted)


def _is_supported(said: Iterable[Amount], known: Iterable[Amount], numbers: Collection[Decimal]) -> bool:
    known = list(known)
    return any(any(map(one.is_same, known)) or not one.values.isdisjoint(numbers) for one in said)


def _addresses(plan: Plan) -> Iterator[Disagreement]:
    summary = plan.summary[:LONGEST]
    named = [*(one.strip(".-") for one in MAIL.findall(summary)), *HOST.findall(summary)]
    has = "\n".join(text for step in plan.steps for _, text in texts_in(step.arguments)).casefold()
    absent = tuple(dict.fromkeys(one for one in named if one.casefold() not in has))
    if absent:
        yield Disagreement(DisagreementKind.SUMMARY_ADDRESS, 0, absent[:_MOST])


def _tools(plan: Plan, tools: Collection[str]) -> Iterator[Disagreement]:
    own = {step.tool for step in plan.steps}
    named = dict.fromkeys(one for one in _TOOL.findall(plan.summary[:LONGEST]) if one in tools)
    absent = tuple(one for one in named if one not in own)
    if absent:
        yield Disagreement(DisagreementKind.SUMMARY_TOOL, 0, absent[:_MOST], tuple(sorted(own))[:_MOST])


def _shown(amounts: Iterable[Amount]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.text for one in amounts))[:_MOST]
