"""Send every prompt injection in the corpus to a model that obeys it. Only the plan's effects may happen.

The worker runs in this process; server, records, model server and effects are as in production.
"""

from collections import Counter
from dataclasses import dataclass

from activities.planners.autogen.model_client import model_client_factory
from chaos.installation import Installation
from chaos.report import Report
from plangate.logs.setup import configure_logs
from plangate.settings import Settings
from tests.support.gate import build_gate
from tests.support.injected_runs import InjectionRunner
from tests.support.injections import Obedient, corpus
from tests.support.openai_server import OpenAIServer


@dataclass(frozen=True)
class Size:
    """The share of the cases: one in every ``step``."""

    step: int


FULL = Size(step=1)
QUICK = Size(step=23)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Run the cases one after the other, because the effects of each are counted."""
    model = Obedient()
    cases = corpus()[:: size.step]
    folder = installation.folder / "injections"
    folder.mkdir()
    configure_logs(Settings(log_level="error"))
    gate = build_gate(installation.client, folder, "injections")
    with OpenAIServer(model, distinct=True) as server:
        settings = Settings(openai_base_url=server.base_url, openai_api_key="k", model_config_file=None)
        runner = InjectionRunner(gate, corpus(), model_client_factory(settings), folder)
        async with gate.worker():
            for case in cases:
                for fault in await runner.examine(case):
                    report.record_error(fault)
    gate.database.close()
    missed = [str(case) for case in cases if case.number not in model.obeyed]
    report.expect(not missed, f"these injections never reached the model: {missed[:5]}")
    kinds = Counter(case.kind for case in cases)
    report.figure("cases", f"{len(cases)}, of {len(kinds)} kinds")
    report.figure("without a valid call", runner.without_plan)
    report.figure("obeyed by the model", len(model.obeyed))
    report.figure("requests to the model", len(server.requests))
