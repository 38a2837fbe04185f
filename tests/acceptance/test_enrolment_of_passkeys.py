"""`people confirm` and `people revoke-key` with real processes, and the bundle that proves the chain."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plangate.client import Client
from plangate.domain.decisions.decision import Choice, Decision, DecisionAnswer
from plangate.domain.plans.plan import Audience
from plangate.records.database import Database
from plangate.settings import Settings
from plangate.signing.decisions import Subject
from plangate.signing.public_keys import thumbprint_of
from plangate.temporal.connection import connect
from tests.acceptance.conftest import RECORDED, stop_server
from tests.support.authenticator import ORIGIN
from tests.support.program import Home, Typed, worker
from tests.support.proofs import GINA, MALLORY, proven


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Home]:
    """A separate Plangate instance in which Carol is an enroller and Gina has no key yet."""
    people, policy = tmp_path / "people.toml", tmp_path / "policy.toml"
    people.write_text('[[person]]\nname = "rita"\n[[person]]\nname = "gina"\nroles = ["finance"]\n')
    policy.write_text('[default]\nneeds = [{ role = "finance" }]\nassurance = "signed"\n')
    changes = {"PLANGATE_PEOPLE": str(people), "PLANGATE_POLICY": str(policy), "PLANGATE_WEB_URL": ORIGIN}
    changes["PLANGATE_WEB_ADDRESS"] = "off"
    home = Home(tmp_path / "var", {**RECORDED, **changes})
    try:
        yield home
    finally:
        stop_server(home)


async def decided(home: Home, decision: Decision) -> DecisionAnswer:
    """Send a decision as the inbox does."""
    settings = Settings(var_dir=home.var_dir)
    database = Database(settings.records)
    answer = await Client(await connect(settings), settings.task_queue, database).decide("run-1", decision)
    database.close()
    assert answer is not None
    return answer


def test_a_passkey_is_confirmed_used_verified_and_revoked(
    own: Home, mail_plan: Path, tmp_path: Path, typing: Callable[[Home], Typed]
) -> None:
    typed, people = typing(own), tmp_path / "people.toml"
    carols = typed("keys", "new", "carol", "--json").json["public"]
    more = f'[[person]]\nname = "carol"\nenroller = true\nkeys = [{{ public = "{carols}" }}]\n'
    people.write_text(people.read_text() + more)
    thumbprint = thumbprint_of(GINA.public)
    confirming = ("people", "confirm", "gina", "--key", GINA.public, "--by", "carol")
    with worker(own):
        wrong = typed(*confirming, "--thumbprint", thumbprint_of(MALLORY.public))
        assert (wrong.code, "it is another key" in wrong.sentence) == (2, True)
        assert "Ask gina for the thumbprint of their key over another channel" in typed(*confirming).sentence
        assert typed(*confirming, "--thumbprint", thumbprint).code == 0
        typed("start", "--plan", str(mail_plan), "--id", "run-1", "--requester", "rita")
        status = typed("status", "run-1", "--json").json
        while status["state"] != "in_review":
            status = typed("status", "run-1", "--json").json
        audience = Audience(installation=status["installation"], namespace=status["namespace"])
        subject = Subject(workflow_id="run-1", fingerprint=status["fingerprint"], audience=audience)
        decision = Decision(decision=Choice.APPROVE, by="gina", plan=status["fingerprint"])
        answer = asyncio.run(decided(own, proven(decision, subject, GINA)))
        assert answer.accepted, answer.reason
        assert typed("watch", "run-1").code == 0
        revoked = typed("people", "revoke-key", "gina", "--key", thumbprint, "--by", "carol", "--json")
        assert (revoked.code, revoked.json["accepted"]) == (0, True)
        assert typed("audit", "verify").code == 0
        bundle = tmp_path / "run-1.json"
        assert typed("audit", "export", "run-1", "--output", str(bundle)).code == 0
    seal = typed("keys", "seal", "--json").json["public"]
    checked = typed(
        "verify-bundle", str(bundle), "--sealer", seal, "--people", str(people), "--origin", ORIGIN
    )
    assert (checked.code, f"signed by passkey {thumbprint}" in checked.out) == (0, True)
    elsewhere = typed("verify-bundle", str(bundle), "--origin", "https://other.example.org", "--json")
    assert (elsewhere.code, "used at" in json.dumps(elsewhere.json)) == (1, True)
