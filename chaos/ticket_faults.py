"""Test the complete fault matrix of the ticket tools: every fault, with every vendor and both tools."""

from dataclasses import dataclass

from chaos.installation import Installation
from chaos.report import Report
from tests.support.ticket_faults import FAULTS, TOOLS, check
from tests.support.tickets import VENDORS


@dataclass(frozen=True)
class Size:
    """The vendors that are tested."""

    vendors: tuple[str, ...]


FULL = Size(VENDORS)
QUICK = Size(VENDORS[:1])


async def run_scenario(_installation: Installation, report: Report, size: Size) -> None:
    """Test every fault with one call to each tool."""
    count = 0
    for vendor in size.vendors:
        for tool in TOOLS:
            for name in FAULTS:
                count += 1
                try:
                    await check(vendor, tool, name)
                except AssertionError as error:
                    report.record_error(f"{vendor}, {tool}, {name}: {error}")
    report.figure("faults", count)
