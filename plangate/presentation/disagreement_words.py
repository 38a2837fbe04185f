"""Describe disagreements in sentences, for the top of a plan's pages.

Workflows import this module: it is deterministic and needs no terminal.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status
from plangate.presentation.disagreements import Disagreement, DisagreementKind, disagreements

NO_AMOUNT: Final = "The summary mentions {text}, but no step has an amount."
SENTENCES: Final[Mapping[DisagreementKind, str]] = {
    DisagreementKind.TEXT_AMOUNT: (
        "A text in step {step} mentions {text}, but the rest of the plan mentions only {beside}."
    ),
    DisagreementKind.SUMMARY_AMOUNT: "The summary mentions {text}, but the steps have {beside}.",
    DisagreementKind.SUMMARY_ADDRESS: "The summary mentions {text}, which is in no step.",
    DisagreementKind.SUMMARY_TOOL: "The summary mentions the tool {text}, but the steps are: {beside}.",
    DisagreementKind.STEP_AMOUNT: "The steps have {beside}, but the text says {text}.",
    DisagreementKind.REQUEST_AMOUNT: (
        "The request mentions {text}, which is in no step; the steps have {beside}."
    ),
    DisagreementKind.REQUEST_ADDRESS: "The request mentions {text}, but the steps have {beside}.",
}
"""The English sentences of the inbox, by kind of disagreement."""


def disagreement_lines(status: Status) -> Iterator[str]:
    """Yield a sentence for each place where the text of a plan in review disagrees with its steps."""
    if status.plan is None or status.state != Phase.IN_REVIEW:
        return
    for one in disagreements(status.plan, request=status.request):
        yield _sentence(one)


def _sentence(one: Disagreement) -> str:
    is_bare = one.kind is DisagreementKind.SUMMARY_AMOUNT and not one.plan
    sentence = NO_AMOUNT if is_bare else SENTENCES[one.kind]
    return sentence.format(step=one.step, text=", ".join(one.said), beside=", ".join(one.plan))
