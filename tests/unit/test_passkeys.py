"""Passkeys: the verification of assertions with every algorithm, and the encoding of keys."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.decisions.decision import Choice, Decision, Resolution
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Identified, Key, People, Person
from plangate.domain.people.trusted_web import TrustedWeb, relying_party_of
from plangate.signing.base64url import decoded, encoded
from plangate.signing.cose_keys import cose_of, passkey_of, thumbprint
from plangate.signing.decisions import Subject, claims_for, verify
from plangate.signing.passkeys import assertion_of, challenge_of, passkey_token
from plangate.signing.public_keys import checked_key, thumbprint_of
from tests.support.authenticator import ALGORITHMS, ORIGIN, RP_ID, cose, passkey
from tests.support.build import NOON
from tests.support.fakes import AUDIENCE

PLAN = "ab" * 32
SUBJECT = Subject(workflow_id="plan-1", fingerprint=PLAN, audience=AUDIENCE)
WEB = TrustedWeb(origins=frozenset({ORIGIN}))


def people(*publics: str, **limits: Any) -> People:
    keys = tuple(Key(id=thumbprint_of(public), x=public, **limits) for public in publics)
    return People(persons=(Person(name="Dana", roles=("ops",), keys=keys), Person(name="Eve")), web=WEB)


def decision(**changes: Any) -> Decision:
    said = {"decision": Choice.APPROVE, "by": "dana", "plan": PLAN, "comment": "fine"}
    return Decision(**{**said, **changes})


def decided(one: Decision, algorithm: str = "ES256", **ceremony: Any) -> Decision:
    claims = claims_for(one, SUBJECT, at=NOON, token_id="0123456789abcdef")
    return one.model_copy(update={"signature": passkey("dana", algorithm).token(claims, **ceremony)})


def check(one: Decision, known: People | None = None) -> Identified:
    return verify(one, subject=SUBJECT, people=known or people(passkey("dana").public), at=NOON)


EVERY_KIND = (
    decision(),
    decision(decision=Choice.REJECT, comment="no: ü \u2028 \U0001f600"),
    decision(decision=Choice.WITHDRAW_APPROVAL, comment=""),
    decision(decision=Choice.REQUEST_CHANGES, comment="less"),
    decision(decision=Choice.EDIT, new_plan={"summary": "s", "steps": [{"tool": "note", "n": 1.5}]}),
    decision(decision=Choice.RESOLVE, step=2, resolution=Resolution.SKIP, hold=3, comment="why"),
)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("one", EVERY_KIND, ids=lambda one: one.decision)
def test_a_passkey_proves_each_kind_of_decision_with_each_algorithm(one: Decision, algorithm: str) -> None:
    key = passkey("dana", algorithm)
    known = check(decided(one, algorithm), people(passkey("other").public, key.public))
    assert known.objection == ""
    assert known.approver is not None
    assert known.approver.assurance is Assurance.SIGNED
    assert (known.approver.public_key, known.approver.origin) == (key.public, ORIGIN)
    assert known.approver.key_id == thumbprint(key.public)
    assert (known.approver.token_id, known.approver.signed_at) == ("0123456789abcdef", NOON)


@pytest.mark.parametrize(
    ("ceremony", "words"),
    [
        ({"origin": "https://evil.example.org"}, "used at https://evil.example.org, not at https://plangate"),
        ({"origin": f"{ORIGIN}:444"}, "not at https://plangate"),
        ({"origin": "http://plangate.example.org"}, "not at https://plangate"),
        ({"rp_id": "example.org"}, "does not belong to the RP id plangate.example.org"),
        ({"flags": 0x01}, "did not verify the person"),
        ({"flags": 0x04}, "no person was present"),
        ({"flags": 0x00}, "no person was present"),
        ({"kind": "webauthn.create"}, "something other than a signature"),
        ({"crossOrigin": True}, "inside a frame of another site"),
        ({"topOrigin": "https://evil.example.org"}, "inside a frame of another site"),
    ],
)
def test_the_origin_and_the_ceremony_of_a_passkey_are_checked(ceremony: dict[str, Any], words: str) -> None:
    known = check(decided(decision(), **ceremony))
    assert words in known.objection
    assert known.approver is not None
    assert known.approver.assurance is Assurance.TYPED


def test_another_persons_passkey_is_refused() -> None:
    one = decided(decision())
    assert "not signed by a passkey of Dana" in check(one, people(passkey("eve").public)).objection


def test_a_passkey_is_accepted_only_while_it_is_valid() -> None:
    one, key = decided(decision()), passkey("dana").public
    assert "not valid now" in check(one, people(key, valid_until=NOON)).objection
    assert not check(one, people(key, valid_until=NOON + timedelta(seconds=1))).objection


def test_no_passkey_is_accepted_without_a_trusted_web_server() -> None:
    known = people(passkey("dana").public).model_copy(update={"web": TrustedWeb()})
    assert "which is not trusted" in check(decided(decision()), known).objection


def test_a_browsers_response_is_read_as_an_assertion() -> None:
    claims = claims_for(decision(), SUBJECT, at=NOON, token_id="0123456789abcdef")
    made = passkey("dana").answer(challenge_of(claims))
    answer = {
        "id": made.credential_id,
        "rawId": made.credential_id,
        "type": "public-key",
        "response": {
            "clientDataJSON": made.client_data,
            "authenticatorData": made.authenticator_data,
            "signature": made.signature,
            "userHandle": None,
        },
        "clientExtensionResults": {},
    }
    assert assertion_of(json.loads(json.dumps(answer))) == made
    token = passkey_token(claims, assertion_of(answer))
    assert not check(decision().model_copy(update={"signature": token})).objection
    answers: list[object] = [{}, [], None, "x", {**answer, "response": {}}, {**answer, "id": "a b"}]
    for broken in answers:
        with pytest.raises(ValueError, match="is not that of a passkey"):
            assertion_of(broken)


def test_the_thumbprint_of_an_ec_key_follows_rfc_9679() -> None:
    """The example of RFC 9679, section 6; its key has no algorithm, because thumbprints do not include it."""
    x = bytes.fromhex("65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d")
    y = bytes.fromhex("1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c")
    public = passkey_of(cose({1: 2, 3: -7, -1: 1, -2: x, -3: y}))
    expected = "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"
    assert thumbprint(public) == encoded(bytes.fromhex(expected))


def _parameters(algorithm: str) -> dict[Any, Any]:
    import cbor2  # noqa: PLC0415

    found: dict[Any, Any] = cbor2.loads(passkey("dana", algorithm).cose)
    return found


REFUSED = {
    "downgraded to ES384's number": {**_parameters("ES256"), 3: -35},
    "RS1": {**_parameters("RS256"), 3: -65_535},
    "PS256": {**_parameters("RS256"), 3: -37},
    "Ed25519 as fully specified": {**_parameters("EdDSA"), 3: -19},
    "EdDSA's number on an EC key": {**_parameters("ES256"), 3: -8},
    "another curve": {**_parameters("ES256"), -1: 2},
    "a private key": {**_parameters("ES256"), -4: b"\x01" * 32},
    "a key id": {**_parameters("ES256"), 2: b"x"},
    "off the curve": {**_parameters("ES256"), -3: b"\x01" * 32},
    "compressed": {**_parameters("ES256"), -3: True},
    "short": {**_parameters("ES256"), -2: b"\x01" * 31},
    "EC with a leading zero": {**_parameters("ES256"), -2: b"\x00" + _parameters("ES256")[-2]},
    "a short EdDSA key": {**_parameters("EdDSA"), -2: b"\x01" * 31},
    "a long EdDSA key": {**_parameters("EdDSA"), -2: _parameters("EdDSA")[-2] + b"\x00"},
    "a point of small order": {**_parameters("EdDSA"), -2: b"\x00" * 32},
    "RSA with exponent 1": {**_parameters("RS256"), -2: b"\x01"},
    "RSA with exponent 3": {**_parameters("RS256"), -2: b"\x03"},
    "RSA of 1,024 bits": {**_parameters("RS256"), -1: b"\xff" * 128},
    "RSA with a leading zero": {**_parameters("RS256"), -1: b"\x00" + _parameters("RS256")[-1]},
    "no algorithm": {1: 2, -1: 1, -2: b"x" * 32, -3: b"y" * 32},
    "text": {1: "2", 3: "-7"},
    "symmetric": {1: 4, 3: 5, -1: b"secret"},
}


@pytest.mark.parametrize("parameters", REFUSED.values(), ids=REFUSED.keys())
def test_no_other_key_is_accepted(parameters: dict[Any, Any]) -> None:
    with pytest.raises(ValueError, match="is not the public key of a passkey"):
        passkey_of(cose(parameters))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_has_one_encoding(algorithm: str) -> None:
    public = passkey("dana", algorithm).public
    assert checked_key(public) == public
    raw = cose_of(public)
    other = [raw + b"\x00", b"\xbf" + raw[1:] + b"\xff", raw[:-1], b"\xb8" + bytes([raw[0] & 0x1F]) + raw[1:]]
    spelled = [f"passkey:{encoded(one)}" for one in other]
    spelled += [f"{public}=", f" {public}", public.upper(), f"{public}\n", "passkey:", f"passkey:{public}"]
    for text in spelled:
        with pytest.raises(ValueError, match="is not "):
            checked_key(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_a_clean_error(raw: bytes) -> None:
    with suppress(ValueError):
        assert cose_of(passkey_of(raw)) == raw


@given(st.text(max_size=60))
def test_base64url_has_one_encoding(text: str) -> None:
    try:
        raw = decoded(text)
    except ValueError:
        return
    assert encoded(raw) == text


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://plangate.example.org", RP_ID),
        ("https://plangate.example.org:8443", RP_ID),
        ("http://localhost:8088", "localhost"),
        ("http://inbox.localhost", "inbox.localhost"),
        ("http://plangate.example.org", None),
        ("https://Plangate.example.org", None),
        ("https://plangate.example.org/", None),
        ("https://u@plangate.example.org", None),
        ("http://localhost.example.org", None),
        ("android:apk-key-hash:xyz", None),
        ("https://pl\u0430ngate.example.org", None),
        ("https://plangate.example.org\n", None),
        ("null", None),
        ("", None),
        ("https://[::1", None),
        ("https://x:99999", None),
    ],
)
def test_an_origin_has_the_rp_id_of_its_host(origin: str, host: str | None) -> None:
    assert relying_party_of(origin) == host
