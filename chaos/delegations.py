"""Random orders to lend roles, and forged ones on the trail: what was not lent never counts."""

from collections import Counter
from dataclasses import dataclass

from chaos.report import Report
from chaos.stage import Stage
from plangate.domain.delegations import DelegationDecided
from tests.support.lendings import Story


@dataclass(frozen=True)
class Size:
    """How many stories, of twelve orders each."""

    stories: int


FULL = Size(stories=1_000)
QUICK = Size(stories=25)


async def act(stage: Stage, report: Report, size: Size) -> None:
    """Tell them all; each difference from the naive model is a fault."""
    first = stage.chance.randrange(10**6)
    counts: Counter[str] = Counter()
    for seed in range(first, first + size.stories):
        story = Story(seed)
        for difference in story.differences(orders=12):
            report.blame(f"seed {seed}: {difference}")
        events = [one.event for one in story.entries if isinstance(one.event, DelegationDecided)]
        counts["accepted"] += sum(one.verdict.accepted and one.verdict.reason != "so" for one in events)
        counts["refused"] += sum(not one.verdict.accepted for one in events)
        counts["forged"] += sum(one.verdict.reason == "so" for one in events)
    report.figure("stories", size.stories)
    report.figure("orders", ", ".join(f"{count} {name}" for name, count in counts.items()))
