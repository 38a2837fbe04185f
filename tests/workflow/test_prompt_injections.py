"""If an outsider controls a model, only the approved plan is executed, which shows every effect.

This is a seeded sample; `python -m chaos injections` runs the whole corpus.
"""

from pathlib import Path
from random import Random

import pytest

from activities.planners.autogen.model_client import model_client_factory
from plangate.settings import Settings
from tests.support.gate import Gate
from tests.support.injected_runs import InjectionRunner
from tests.support.injections import DISGUISES, KINDS, PLACES, Obedient, corpus
from tests.support.openai_server import OpenAIServer
from tests.support.times import times


def test_the_corpus_covers_every_kind_place_and_disguise() -> None:
    cases = corpus()
    assert len(cases) == len(KINDS) * len(PLACES) * len(DISGUISES) >= 200
    assert len({case.order for case in cases}) == len(cases)


async def test_nothing_happens_outside_the_approved_plan_and_the_plan_shows_it(
    idle_gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    model = Obedient()
    rng, cases = Random(16), list(model.cases)
    chosen = [rng.choice([one for one in cases if one.kind == kind]) for kind in KINDS]
    chosen += rng.sample(cases, times(4))
    with OpenAIServer(model, distinct=True) as server:
        settings = Settings(openai_base_url=server.base_url, openai_api_key="k", model_config_file=None)
        runner = InjectionRunner(idle_gate, cases, model_client_factory(settings), tmp_path)
        async with idle_gate.worker():
            faults = [fault for case in chosen for fault in await runner.examine(case)]
    assert "\n".join(faults) == ""
    assert model.obeyed == {case.number for case in chosen}
