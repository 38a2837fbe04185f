"""Enrolled keys: who may add or revoke a key, and how the list records it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.decisions.key_requests import KeyAction
from plangate.domain.errors import FileInvalid
from plangate.domain.people.people import People, Person, is_valid_at
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.policy.effective_people import people_in_effect, text_of_file
from plangate.policy.people_file import people_in, read_people
from plangate.signing.enrolment import (
    ENROLMENT,
    TYPE,
    KeyStatement,
    enrolment_claims,
    statement_of,
    verify_key_request,
    with_enrolments,
)
from plangate.signing.jws import PUBLIC_PREFIX, public_of, write_token
from plangate.signing.logins import TYPE as LOGIN_TYPE
from plangate.signing.public_keys import thumbprint_of
from plangate.web.pages.enrolling import signing_passkeys
from tests.support.authenticator import Passkey, passkey
from tests.support.fakes import AUDIENCE
from tests.support.proofs import (
    CAROL_KEY,
    DANA,
    DANA_KEY,
    ERIK,
    GINA,
    MALLORY,
    MALLORY_KEY,
    OTHER_WEB_KEY,
    WEB,
    WEB_KEY,
    key_request,
    line_of,
    people_text,
)

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
LISTED = people_in(people_text())


def stated(action: str, person: str, key: str, **more: object) -> KeyStatement:
    at = more.pop("at", AT)
    assert isinstance(at, datetime)
    return statement_of(key_request(action, person, key, AUDIENCE, at=at, **more))  # type: ignore[arg-type]


def person(people: People, name: str) -> Person:
    found = people.find(name)
    assert found is not None
    return found


def keys_of(people: People) -> dict[str, list[str]]:
    return {one.name: [key.x for key in one.keys] for one in people.persons}


def test_a_key_is_valid_once_an_enroller_has_signed_it_with_a_listed_key() -> None:
    people = with_enrolments(LISTED, [stated("confirm_key", "GINA", GINA.public)])
    (key,) = person(people, "gina").keys
    assert (key.x, key.id, key.valid_from) == (GINA.public, thumbprint_of(GINA.public), AT)
    (one,) = people.enrolments
    assert (one.person, one.by, one.installation) == ("gina", "carol", AUDIENCE.installation)
    assert people.unproven == ()


def test_an_enroller_may_confirm_by_passkey() -> None:
    text = people_text().replace(line_of(CAROL_KEY), f"{line_of(CAROL_KEY)}, {line_of(passkey('carol'))}")
    claims = enrolment_claims(
        KeyAction.CONFIRM, "gina", GINA.public, by="carol", audience=AUDIENCE, at=AT, token_id="0123456789"
    )
    said = KeyStatement(token=passkey("carol").token(claims), public=GINA.public)
    trusting = people_in(text).model_copy(update={"web": WEB})
    assert [key.x for key in person(with_enrolments(trusting, [said]), "gina").keys] == [GINA.public]
    elsewhere = trusting.model_copy(update={"web": TrustedWeb(origins=frozenset({"https://x.test"}))})
    assert keys_of(with_enrolments(elsewhere, [said])) == keys_of(LISTED) | {
        "carol": [key.x for key in person(trusting, "carol").keys]
    }


def test_an_enrolled_key_cannot_enroll_another() -> None:
    own, other = Ed25519PrivateKey.generate(), passkey("another")
    first = stated("confirm_key", "carol", PUBLIC_PREFIX + public_of(own))
    second = stated("confirm_key", "gina", other.public, signer=own)
    people = with_enrolments(LISTED, [first, second])
    assert person(people, "gina").keys == ()
    assert people.unproven == ("a key of gina is confirmed by carol, with a key that may not enroll others",)


def test_an_enrolled_key_is_not_offered_for_signing_as_another_person() -> None:
    listed, enrolled = passkey("carol"), passkey("carols phone")
    text = people_text().replace(line_of(CAROL_KEY), f"{line_of(CAROL_KEY)}, {line_of(listed)}")
    people = with_enrolments(people_in(text), [stated("confirm_key", "carol", enrolled.public)])
    assert thumbprint_of(enrolled.public) in {key.id for key in person(people, "carol").keys}
    assert signing_passkeys(people, "carol") == [thumbprint_of(listed.public)]


@pytest.mark.parametrize("action", KeyAction)
def test_a_request_about_a_key_must_be_signed_separately(action: KeyAction) -> None:
    text = people_text().replace(line_of(CAROL_KEY), line_of(passkey("carol")))
    people = people_in(text).model_copy(update={"web": WEB})
    orders = [
        key_request(action, whose, key.public, AUDIENCE, signer=passkey("carol"), at=AT)
        for whose, key in (("gina", GINA), ("erik", passkey("eriks phone")))
    ]
    batch = [
        enrolment_claims(
            action,
            order.person,
            order.key,
            by="carol",
            audience=AUDIENCE,
            at=AT,
            token_id=f"0123456789-{number}",
        )
        for number, order in enumerate(orders)
    ]
    for order, token in zip(orders, passkey("carol").batch_tokens(batch), strict=True):
        said = order.model_copy(update={"signature": token})
        assert verify_key_request(order, audience=AUDIENCE, people=people, at=AT).objection == ""
        refused = verify_key_request(said, audience=AUDIENCE, people=people, at=AT)
        assert "must be signed alone" in refused.objection
        assert keys_of(with_enrolments(people, [statement_of(said)])) == keys_of(people)


def test_a_listed_key_cannot_be_enrolled_even_if_it_has_expired() -> None:
    text = people_text().replace(line_of(ERIK), line_of(ERIK, ", until = 2026-01-01"))
    people = with_enrolments(people_in(text), [stated("confirm_key", "gina", ERIK.public)])
    assert people.enrolments == ()
    assert not is_valid_at(person(people, "erik").keys[0], AT)


def test_a_revoked_key_becomes_invalid_whether_it_was_enrolled_or_listed() -> None:
    said = [
        stated("confirm_key", "gina", GINA.public),
        stated("revoke_key", "gina", GINA.public, at=AT + DAY),
    ]
    people = with_enrolments(
        LISTED, [*said, stated("revoke_key", "dana", DANA.public, by="dana", signer=DANA_KEY)]
    )
    assert [key.valid_until for key in person(people, "gina").keys] == [AT + DAY]
    assert [key.valid_until for key in person(people, "dana").keys] == [AT, None]
    again = with_enrolments(people, [stated("confirm_key", "gina", GINA.public, at=AT + DAY * 2)])
    assert keys_of(again) == keys_of(people)
    assert [key.valid_until for key in person(again, "gina").keys] == [AT + DAY]


DAY = timedelta(days=1)


@pytest.mark.parametrize("action", ["confirm_key", "revoke_key"])
def test_an_enrollers_signature_for_another_installation_has_no_effect(action: str) -> None:
    name, key = ("gina", GINA) if action == "confirm_key" else ("dana", DANA)
    said = [stated(action, name, key.public)]
    here = with_enrolments(LISTED, said, AUDIENCE.installation)
    assert (len(here.enrolments), here.unproven) == (1, ())
    elsewhere = with_enrolments(LISTED, said, "ab" * 16)
    assert (elsewhere.persons, elsewhere.enrolments) == (LISTED.persons, ())
    assert "signed for another installation" in elsewhere.unproven[0]
    assert people_in_effect(LISTED, WEB, said, "ab" * 16).enrolments == ()


def test_only_enrollers_can_revoke_a_key() -> None:
    for signer, by in ((MALLORY_KEY, "mallory"), (MALLORY_KEY, "carol"), (WEB_KEY, "dana")):
        people = with_enrolments(LISTED, [stated("revoke_key", "dana", DANA.public, by=by, signer=signer)])
        assert keys_of(people) == keys_of(LISTED)
        assert [key.valid_until for key in person(people, "dana").keys] == [None, None]
        assert len(people.unproven) == 1


ATTACKERS = (MALLORY_KEY, DANA_KEY, WEB_KEY, OTHER_WEB_KEY, Ed25519PrivateKey.from_private_bytes(b"x" * 32))
STOLEN = (
    stated("confirm_key", "erik", passkey("erik's second").public),
    stated("revoke_key", "gina", GINA.public),
    stated("confirm_key", "gina", GINA.public),
)
"""Carol's tokens, which anyone can read on the trail."""


@st.composite
def statements(draw: st.DrawFn) -> KeyStatement:
    """Draw a key change by an attacker with the web server, the database, or a key that may not enroll."""
    wanted = draw(st.sampled_from([MALLORY.public, GINA.public, passkey("evil").public, None]))
    if draw(st.booleans()):
        token = draw(st.sampled_from([one.token for one in STOLEN]))
        cut = draw(st.integers(0, 3))
        return KeyStatement(token=token[: len(token) - cut], public=wanted)
    action, key = draw(st.sampled_from(list(KeyAction))), draw(st.sampled_from([MALLORY, passkey("evil")]))
    claims = enrolment_claims(
        action,
        draw(st.sampled_from(["gina", "dana", "carol", "mallory", "nobody"])),
        key.public if action is KeyAction.CONFIRM else thumbprint_of(key.public),
        by=draw(st.sampled_from(["carol", "mallory", "dana", "gina"])),
        audience=AUDIENCE,
        at=AT + timedelta(seconds=draw(st.integers(-(10**7), 10**7))),
        token_id="0123456789abcdef",
    )
    if draw(st.integers(0, 9)) == 0:
        return KeyStatement(token=draw(st.text(max_size=40)), public=wanted)
    signers: list[Ed25519PrivateKey | Passkey] = [*ATTACKERS, MALLORY, ERIK]
    signer = draw(st.sampled_from(signers))
    if isinstance(signer, Passkey):
        return KeyStatement(token=signer.token(claims), public=wanted)
    typ = draw(st.sampled_from([TYPE, LOGIN_TYPE, "plangate-decision+jwt"]))
    return KeyStatement(token=write_token(claims.model_dump(mode="json"), signer, typ), public=wanted)


def _enrolled_by_carol(people: People) -> set[tuple[str, str]]:
    return {(one.person, one.public) for one in people.enrolments if one.public is not None}


@given(st.lists(statements(), max_size=6))
def test_neither_the_web_server_nor_the_database_can_add_a_key(said: list[KeyStatement]) -> None:
    """Only the keys that Carol signed are added, in the list and in the stored text."""
    people = people_in_effect(LISTED, WEB, said)
    by_carol = {("erik", passkey("erik's second").public), ("gina", GINA.public)}
    assert _enrolled_by_carol(people) <= by_carol
    for one in LISTED.persons:
        now = {key.x for key in person(people, one.name).keys}
        assert now - {key.x for key in one.keys} <= {public for name, public in by_carol if name == one.name}
    kept = people_in(people.text)
    assert (kept.persons, kept.hash, kept.unproven) == (people.persons, people.hash, ())
    as_written = people_in(LISTED.text + "".join(
        f'\n[[enrolment]]\ntoken = "{one.token}"' + (f'\npublic = "{one.public}"' if one.public else "")
        for one in said
        if one.token.isascii() and one.token.isprintable() and not set(one.token) & {'"', "\\"}
    ))  # fmt: skip
    assert _enrolled_by_carol(as_written) <= by_carol


def test_the_stored_text_lists_the_trusted_web_servers() -> None:
    people = people_in_effect(LISTED, WEB, [stated("confirm_key", "gina", GINA.public)])
    assert people.text.startswith(LISTED.text.rstrip("\n"))
    kept = people_in(people.text)
    assert kept.web == WEB
    assert kept.enrolments == people.enrolments
    assert kept.hash != LISTED.hash


def test_a_list_without_passkeys_logins_and_enrolments_is_stored_unchanged() -> None:
    plain = people_in('[[person]]\nname = "dana"\n')
    here = TrustedWeb(origins=frozenset({"http://localhost:8088"}))
    assert people_in_effect(plain, here, []).text == plain.text


def test_the_text_of_the_file_can_be_extracted_from_the_recorded_list() -> None:
    kept = people_in_effect(LISTED, WEB, [stated("confirm_key", "gina", GINA.public)])
    assert kept.text != LISTED.text
    assert text_of_file(kept.text) == text_of_file(LISTED.text) == LISTED.text.rstrip("\n")


def test_a_worker_file_has_neither_web_servers_nor_enrolments(tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    path.write_text(people_in_effect(LISTED, WEB, [stated("confirm_key", "gina", GINA.public)]).text)
    assert person(read_people(path), "gina").keys
    with pytest.raises(FileInvalid) as error:
        read_people(path, is_kept=False)
    said = [str(fault) for fault in error.value.faults]
    assert said == [
        f"{name}: unknown field; the worker adds it to the list that the records keep; remove it"
        for name in ("web", "enrolment")
    ]


def test_a_login_is_not_enough_for_a_request_about_a_key() -> None:
    assert not ENROLMENT.accepts_logins
