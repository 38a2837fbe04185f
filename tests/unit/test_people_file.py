"""The list of people as written by an operator, and the identity of a person at a given time."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from plangate.domain.errors import DirectoryUnavailable, FileInvalid
from plangate.policy.people_file import PeopleFile, people_in, read_people
from tests.support.build import NOON

PUBLIC = "ed25519:A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"


def write(path: Path, *persons: str) -> Path:
    path.write_text("\n".join(f"[[person]]\n{person}" for person in persons))
    return path


def faults(tmp_path: Path, *persons: str) -> str:
    with pytest.raises(FileInvalid) as raised:
        read_people(write(tmp_path / "people.toml", *persons))
    return "\n".join(map(str, raised.value.faults))


def test_a_complete_person_is_read(tmp_path: Path) -> None:
    people = read_people(
        write(
            tmp_path / "people.toml",
            f'name = "Dana"\nroles = ["ops"]\nmail = "d@bank.example"\n'
            f'keys = [{{ public = "{PUBLIC}", from = 2026-01-01, until = 2027-01-01T12:00:00+02:00 }}]\n'
            'delegates = [{ to = "erik", roles = ["ops"], until = 2026-01-02 }]',
            'name = "Erik"',
        )
    )
    dana = people.persons[0]
    assert dana.keys[0].valid_from == datetime(2026, 1, 1, tzinfo=UTC)
    assert dana.keys[0].valid_until == datetime(2027, 1, 1, 10, tzinfo=UTC)
    known = people.identify("ERIK", NOON).approver
    assert known is not None
    assert [(one.person, one.roles) for one in known.standings] == [("Erik", ("anyone",)), ("Dana", ("ops",))]
    later = people.identify("erik", datetime(2026, 1, 2, tzinfo=UTC)).approver
    assert later is not None
    assert len(later.standings) == 1


def test_delegations_by_an_inactive_person_have_ended(tmp_path: Path) -> None:
    delegation = 'delegates = [{ to = "erik", roles = ["ops"] }]'
    people = read_people(
        write(
            tmp_path / "people.toml",
            f'name = "dana"\nroles = ["ops"]\nactive = false\n{delegation}',
            'name = "erik"',
        )
    )
    known = people.identify("erik", NOON).approver
    assert known is not None
    assert len(known.standings) == 1
    assert people.roles() == frozenset()


def test_every_error_is_listed_with_its_person_and_location(tmp_path: Path) -> None:
    reported = faults(
        tmp_path,
        'name = "dana"\nrole = ["ops"]',
        'name = "DANA "',
        'name = "da\u200bna"',
        'name = "erik"\nroles = ["anyone"]',
        'name = "fred"\nkeys = [{ public = "ed25519:AAAA" }]',
        f'name = "gina"\nkeys = [{{ public = "{PUBLIC}", from = 2027-01-01, until = 2026-01-01 }}]',
        f'name = "hugo"\nkeys = [{{ public = "{PUBLIC}" }}]',
        'name = "ida"\ndelegates = [{ to = "nobody", roles = ["ops"] }, { to = "ida", roles = [] }]',
        'roles = ["ops"]',
        'name = "kai"\nactive = "yes"',
    )
    for words in (
        "person 'dana' (line 1).role: unknown field; remove it",
        "contains invisible characters",
        "everyone already has the role 'anyone'",
        "keys[0].public: is not an Ed25519 public key",
        "person 'gina' (line 14).keys[0]: ends before it begins",
        "person 'hugo' (line 17).keys[0]: is also a key of person 'gina'",
        "delegates[0].to: 'nobody' is not in this list",
        "delegates[0].roles: delegates ops, which ida does not have",
        "delegates[1].to: is the same person",
        "delegates[1].roles: delegates no role",
        "person '9' (line 23).name: is missing",
        ".active: must be true or false",
    ):
        assert words in reported


@pytest.mark.parametrize("text", ["", "\n# nobody yet\n", "person = []\n"])
def test_an_empty_list_is_an_error_and_decisions_wait_for_its_correction(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "people.toml", 'name = "dana"')
    directory = PeopleFile(path)
    assert directory.people().find("dana")
    path.write_text(text)
    with pytest.raises(FileInvalid, match="has no people"):
        read_people(path)
    with pytest.raises(DirectoryUnavailable, match=r"until the list of people can be read: .* has no people"):
        directory.people()
    write(path, 'name = "erik"')
    assert directory.people().find("erik")


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "people.toml").write_text('\ufeff[[person]]\nname = "dana"\n')
    assert read_people(tmp_path / "people.toml").find("dana")


def test_two_spellings_of_a_name_refer_to_one_person(tmp_path: Path) -> None:
    assert "is also the name of person 'dana'" in faults(tmp_path, 'name = "dana"', 'name = "DANA"')


@pytest.mark.parametrize(
    "name", ["role:finance", "ROLE:finance", " role:finance", "\uff52ole\uff1afinance", "role:", "role: x"]
)
def test_a_name_that_stands_for_the_addresses_of_a_role_is_refused(tmp_path: Path, name: str) -> None:
    assert "name: starts with 'role:', which marks the addresses of a role" in faults(
        tmp_path, f'name = "{name}"\nroles = ["finance"]'
    )
    with pytest.raises(FileInvalid, match="marks the addresses of a role"):
        people_in(f'[[person]]\nname = "{name}"\n')


@pytest.mark.parametrize("name", ["role", "roles:finance", "my role:finance"])
def test_a_name_with_the_word_role_is_accepted(name: str) -> None:
    assert people_in(f'[[person]]\nname = "{name}"\n').find(name)


def test_the_file_is_checked_at_every_lookup(tmp_path: Path) -> None:
    path = write(tmp_path / "people.toml", 'name = "dana"')
    directory = PeopleFile(path)
    assert directory.people() is directory.people()
    write(path, 'name = "erik"')
    assert directory.people().find("dana") is None
    path.write_text("[[person]")
    with pytest.raises(DirectoryUnavailable, match=r"until the list of people can be read: .*not TOML"):
        directory.people()
    path.unlink()
    with pytest.raises(DirectoryUnavailable, match="cannot be opened"):
        directory.people()
    write(path, 'name = "dana"')
    assert directory.people().find("dana") is not None


HOURS = """
[[calendar]]
name = "munich"
zone = "Europe/Berlin"
hours = ["09:00-17:00"]

[[calendar]]
name = "night"
zone = "UTC"
hours = ["22:00-06:00"]

[[role]]
name = "finance"
calendar = "munich"

[[person]]
name = "dana"
roles = ["ops", "finance"]

[[person]]
name = "erik"
roles = ["finance"]
calendar = "night"

[[person]]
name = "fred"
roles = ["finance"]
zone = "America/New_York"

[[person]]
name = "gina"
"""


def test_a_persons_calendar_takes_precedence_and_a_roles_calendar_uses_their_zone() -> None:
    people = people_in(HOURS)
    found = {one.name: people.working_time_of(one.name) for one in people.persons}
    assert {name: (one.name, one.zone) if one else None for name, one in found.items()} == {
        "dana": ("munich", "Europe/Berlin"),
        "erik": ("night", "UTC"),
        "fred": ("munich", "America/New_York"),
        "gina": None,
    }
    assert [people.zone_of(name) for name in ("dana", "fred", "gina", "nobody")] == [
        *("Europe/Berlin", "America/New_York", "UTC", "UTC")
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('[[person]]\nname = "x"\ncalendar = "mars"', "'mars' is not a calendar in this file"),
        ('[[role]]\nname = "ops"\ncalendar = "mars"', "'mars' is not a calendar in this file"),
        ('[[person]]\nname = "x"\nzone = "Mars/Base"', "not a time zone on this system"),
    ],
)
def test_an_unknown_calendar_or_zone_is_an_error(tmp_path: Path, more: str, message: str) -> None:
    path = tmp_path / "people.toml"
    path.write_text(f"{HOURS}\n{more}\n")
    with pytest.raises(FileInvalid, match=message):
        read_people(path, is_kept=False)


@pytest.mark.parametrize("web", ['keys = ["x"]', "keys = 1", 'origins = "x"', "sites = []"])
def test_a_recorded_list_with_wrong_web_servers_cannot_be_read(web: str) -> None:
    """Without them, the list would trust any web server."""
    with pytest.raises(FileInvalid, match=r"web\."):
        people_in(f'[web]\n{web}\n[[person]]\nname = "dana"\n')
