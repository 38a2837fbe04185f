"""The walkthrough of examples/bank works: three plans, signatures, evidence for an auditor."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plangate.settings import PROJECT
from tests.acceptance.conftest import stop_server
from tests.support.program import Home, Typed, worker

BANK = PROJECT / "examples" / "bank"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A Plangate instance with the bank's rules, and a list of people that the test can change."""
    folder = tmp_path_factory.mktemp("bank")
    shutil.copy(BANK / "people.toml", folder / "people.toml")
    home = Home(
        folder / "var",
        {
            "PLANGATE_POLICY": str(BANK / "policy.toml"),
            "PLANGATE_PEOPLE": str(folder / "people.toml"),
            "PLANGATE_KEYS_DIR": str(folder / "keys"),
            "PLANGATE_SEAL_SECONDS": "1",
        },
    )
    try:
        with worker(home):
            yield home
    finally:
        stop_server(home)


@pytest.fixture
def typed(bank: Home, typing: Callable[[Home], Typed]) -> Typed:
    return typing(bank)


def started(typed: Typed, plan: str) -> str:
    path = str(BANK / f"{plan}.yaml")
    ended = typed("start", "--plan", path, "--id", plan, "--requester", "rita", "--json")
    assert ended.code == 0, ended
    fingerprint: str = ended.json["fingerprint"]
    return fingerprint


def add_key(typed: Typed, people: Path, name: str) -> None:
    """Create a key and paste its line below the person's name, as described in the walkthrough."""
    line = next(line for line in typed("keys", "new", name).out.splitlines() if "public =" in line)
    text = people.read_text()
    assert f'name = "{name}"\n' in text
    people.write_text(text.replace(f'name = "{name}"\n', f'name = "{name}"\n{line.strip()}\n'))


def test_the_bank_tutorial_works(bank: Home, typed: Typed, tmp_path: Path) -> None:
    people = bank.var_dir.parent / "people.toml"
    assert "This policy can be used" in typed("policy", "check").out
    assert "This list can be used" in typed("people", "check").out

    started(typed, "no-approval")
    assert typed("watch", "no-approval").code == 0
    assert "no approval (rule: mail inside the bank)" in typed("audit", "show", "no-approval").out

    plan = started(typed, "one-approver")
    by_fred = typed("approve", "one-approver", "--by", "fred", "--plan", plan)
    assert (by_fred.code, "fred has no role that can decide" in by_fred.sentence) == (3, True)
    assert typed("approve", "one-approver", "--by", "dana", "--plan", plan).code == 0
    assert "not verified" in typed("audit", "show", "one-approver").out

    for name in ("fred", "gina", "dana"):
        add_key(typed, people, name)
    plan = started(typed, "two-from-finance")
    unsigned = typed("approve", "two-from-finance", "--by", "hugo", "--plan", plan)
    assert (unsigned.code, "takes signed decisions only" in unsigned.sentence) == (3, True)
    for name in ("fred", "gina", "dana"):
        assert typed("approve", "two-from-finance", "--by", name, "--plan", plan).code == 0
    assert typed("watch", "two-from-finance").code == 0

    bundle = tmp_path / "two.json"
    exported = typed("audit", "export", "two-from-finance", "-o", str(bundle))
    assert (exported.code, exported.err) == (0, "")
    assert "exported two-from-finance" in typed("audit", "show", "plangate:looks").out
    sealer = next(word for word in typed("keys", "seal").out.split() if word.startswith("ed25519:"))
    trusting = ("--people", str(people), "--sealer", sealer)
    proved = typed("audit", "verify-bundle", str(bundle), *trusting)
    assert proved.code == 0
    assert "Verified: the bundle is authentic." in proved.out
    for part in (plan, "fred", "gina", "dana", "signed with", "11 of 11 entries"):
        assert part in proved.out
    assert "is not verified yet" not in proved.out

    assert_rules_in_effect(typed, people)
    verified = typed("audit", "verify", "--json").json
    assert (verified["findings"], verified["runs"]) == ([], 3)
    listed = {run["workflow_id"]: run for run in typed("audit", "list", "--json").json}
    assert listed["two-from-finance"]["approved_by"] == ["fred", "gina", "dana"]
    assert listed["one-approver"]["unverified"] == ["dana"]
    assert [run["workflow_id"] for run in typed("audit", "list", "--by", "HUGO", "--json").json] == [
        "two-from-finance"
    ]
    assert typed("audit", "list", "--state", "rejected").out == "No recorded run matches.\n"
    assert typed("audit", "list", "--since", "2999-01-01", "--csv").out.count("\n") == 1
    assert len(typed("audit", "list", "--since", "1h", "--csv").out.splitlines()) == 4

    opened = json.loads(bundle.read_text())
    opened["story"]["steps"][0]["arguments"]["body"] = "Refund a million."
    bundle.write_text(json.dumps(opened))
    changed = typed("audit", "verify-bundle", str(bundle), *trusting)
    assert changed.code == 1
    assert "the section 'steps' differs from the trail" in changed.out
    opened["texts"] = []
    bundle.write_text(json.dumps(opened))
    without = typed("audit", "verify-bundle", str(bundle), *trusting)
    assert without.code == 1
    assert "refers to a list of people that is missing or cannot be read" in without.out


def assert_rules_in_effect(typed: Typed, people: Path) -> None:
    """Check that the records show which list of people and which policy were in effect at a given time."""
    judged_by = typed("people", "as-of", "0s")
    assert judged_by.out == people.read_text()
    assert "was in effect since" in judged_by.err
    first_policy = typed("policy", "as-of", "0s", "--json").json
    assert first_policy["text"]["hash"] == typed("policy", "check", "--json").json["hash"]
    said = "no worker had recorded a list of people yet; the newest one was recorded on 2"
    assert said in typed("people", "as-of", "2001-01-01").sentence


def test_restored_old_records_are_detected_by_a_kept_checkpoint(
    bank: Home, typed: Typed, tmp_path: Path
) -> None:
    records, kept = bank.var_dir / "records.db", tmp_path / "kept.json"
    with closing(sqlite3.connect(records)) as now, closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        now.backup(backup)
    path = str(BANK / "one-approver.yaml")
    assert typed("start", "--plan", path, "--id", "later", "--requester", "rita").code == 0
    assert typed("audit", "export", "later", "-o", str(tmp_path / "later.json")).code == 0
    kept.write_text(typed("audit", "checkpoint").out)
    before = {**bank.settings, "PLANGATE_DATABASE_URL": f"sqlite:///{tmp_path / 'backup.db'}"}
    old = Home(tmp_path / "old", before)
    ended = old.forked("audit", "verify", "--checkpoint", str(kept))
    assert ended.code == 1
    assert "was kept in " in ended.out
    assert bank.forked("audit", "verify", "--checkpoint", str(kept)).code == 0


def test_unusable_input_is_reported_in_one_sentence(typed: Typed, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.json"
    nonsense.write_text("{}")
    for words, code, message in (
        (("audit", "verify", "nobody"), 1, "nobody is not recorded"),
        (("audit", "export", "nobody"), 1, "nobody is not recorded"),
        (("audit", "verify-bundle", str(nonsense)), 2, "is not a bundle"),
        (("audit", "verify-bundle", str(tmp_path / "none")), 2, "cannot be opened"),
        (("audit", "verify-bundle", str(nonsense), "--sealer", "me"), 2, "me is not a public key"),
        (("audit", "verify", "--checkpoint", str(nonsense)), 2, "does not contain a checkpoint"),
        (("audit", "list", "--state", "unknown"), 2, "'unknown' is not a state"),
        (("audit", "list", "--since", "yesterday"), 2, "cannot be parsed"),
    ):
        ended = typed(*words)
        assert (ended.code, ended.out) == (code, "")
        assert message in ended.sentence
    both = typed("audit", "list", "--csv", "--json")
    assert (both.code, "mutually exclusive" in both.json["error"]) == (2, True)
