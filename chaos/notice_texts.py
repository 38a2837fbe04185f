"""Send every hostile text in every field of a notice, over every channel, to services with real protocols."""

from collections import Counter
from dataclasses import dataclass

from chaos.installation import Installation
from chaos.report import Report
from plangate.domain.escaping import one_line
from tests.support.notice_services import running_services
from tests.support.notice_trials import TextTrials, cases


@dataclass(frozen=True)
class Size:
    """The share of the cases: one in every ``step``."""

    step: int


FULL = Size(step=1)
QUICK = Size(step=37)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Send each text, and compare the received message with the message for a harmless text."""
    tried = cases(installation.rng.randrange(10**6))[:: size.step]
    folder = installation.folder / "notices"
    folder.mkdir()
    with running_services(folder) as running:
        trials = TextTrials(running, folder)
        for case in tried:
            try:
                await trials.check(case)
            except AssertionError as error:
                where = f"{case.channel}, {'+'.join(case.kinds)}, {case.trick.kind}"
                report.record_error(f"{where}, {one_line(case.trick.text)[:60]}: {str(error)[:200]}")
    report.figure("hostile texts", f"{len(tried)}, by {len({case.channel for case in tried})} channels")
    kinds = Counter(case.trick.kind for case in tried)
    report.figure("kinds", ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
