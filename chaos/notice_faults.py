"""Test every fault of a mail server and of each chat service, and check how it is classified."""

from dataclasses import dataclass

from chaos.installation import Installation
from chaos.report import Report
from tests.support.notice_faults import all_checks
from tests.support.notice_services import ADDRESSES, running_services


@dataclass(frozen=True)
class Size:
    """The services that are tested."""

    services: tuple[str, ...]


FULL = Size(tuple(ADDRESSES))
QUICK = Size(("slack hook", "webhook"))


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Test every fault with one notice."""
    folder = installation.folder / "notices"
    folder.mkdir()
    with running_services(folder) as running:
        checks = all_checks(running, size.services, folder)
        for name, check in checks.items():
            try:
                await check()
            except AssertionError as error:
                report.record_error(f"{name}: {str(error)[:200]}")
    report.figure("faults", f"{len(checks)}, at mail and {len(size.services)} services")
