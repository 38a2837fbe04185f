"""All spellings of a person's name are treated as equal, in every script and everywhere they are used."""

# ruff: noqa: RUF001  these letters are intended

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from plangate.cli.key_chain import KeyChain
from plangate.cli.screen import open_screen
from plangate.domain.decisions.decision import Choice, Decision, PersonName
from plangate.domain.people.people import same_person
from plangate.domain.runs.fold import fold
from plangate.domain.runs.status import status_of
from plangate.policy.people_file import read_people
from plangate.settings import Settings
from plangate.signing.decisions import Subject, verify
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from plangate.signing.key_files import write_new_key
from tests.support.build import drafted, requested
from tests.support.fakes import AUDIENCE

NOW = datetime.now(UTC)
NAMES = {
    "Persian": ("علی\u200cرضا", "علیرضا"),
    "Turkish, dotted": ("İpek", "ipek"),
    "Turkish, dotless": ("IŞIK", "ışık"),
    "Turkish, decomposed": ("I\u0307pek", "İPEK"),
    "German": ("Groß", "GROSS"),
    "Greek": ("Οδυσσεύς", "ΟΔΥΣΣΕΎΣ"),
    "Vietnamese": ("Nguyễn", "Nguye\u0302\u0303n"),
    "Korean": ("김", "\u1100\u1175\u11b7"),
}


@pytest.mark.parametrize("script", NAMES)
def test_two_spellings_of_a_name_refer_to_one_person(script: str) -> None:
    one, other = NAMES[script]
    assert same_person(one, other)
    assert not same_person(one, other + "x")


@pytest.mark.parametrize("name", [name for pair in NAMES.values() for name in pair if "\u1100" not in name])
def test_such_a_name_is_accepted(name: str) -> None:
    assert TypeAdapter(PersonName).validate_python(name) == name


@pytest.mark.parametrize("name", ["da\u200cna", "\u200c", "رضا\u200c", "\u202edana"])
def test_a_name_with_hidden_characters_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="invisible characters"):
        TypeAdapter(PersonName).validate_python(name)


@pytest.mark.parametrize("script", NAMES)
def test_a_listed_person_signs_under_any_spelling(script: str, tmp_path: Path) -> None:
    listed, typed = NAMES[script]
    keys = KeyChain(Settings(keys_dir=tmp_path / "keys"), open_screen())
    public = public_of(write_new_key(keys.path_of(listed)))
    file = tmp_path / "people.toml"
    line = f'[[person]]\nname = "{listed}"\nkeys = [{{ public = "{PUBLIC_PREFIX}{public}" }}]\n'
    file.write_text(line, encoding="utf-8")
    assert keys.has(typed)

    plan = drafted()
    fingerprint = plan.fingerprint
    status = status_of(fold("plan-1", [requested(), plan]), source="records")
    decision = Decision(decision=Choice.APPROVE, by=typed, plan=fingerprint)
    signed = keys.signed(decision, status)
    subject = Subject(audience=AUDIENCE, workflow_id="plan-1", fingerprint=fingerprint)
    found = verify(signed, subject=subject, people=read_people(file), at=datetime.now(UTC))

    assert found.objection == ""
    assert found.approver is not None
    assert (found.approver.name, found.approver.is_signed) == (listed, True)
