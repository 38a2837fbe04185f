"""A signature proves who made a decision, and two thousand forgeries are refused."""

import base64
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.people.people import Identified, Key, People, Person
from plangate.signing.decisions import TYPE, Claims, Subject, sign, verify
from plangate.signing.jws import checked_public, key_id, public_of
from tests.support.build import NOON
from tests.support.fakes import AUDIENCE

RUN, PLAN, OTHER_PLAN = "plan-1", "ab" * 32, "cd" * 32
DANA, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
DANA_KEY = Key(id=key_id(public_of(DANA)), x=public_of(DANA))
PEOPLE = People(
    persons=(
        Person(name="Dana", roles=("ops",), keys=(DANA_KEY,)),
        Person(name="Eve", keys=(Key(id=key_id(public_of(EVE)), x=public_of(EVE)),)),
    )
)
MINIMUM = 2_000
ALGORITHMS = (
    "none",
    "None",
    "NONE",
    "HS256",
    "HS512",
    "RS256",
    "ES256",
    "PS256",
    "eddsa",
    "EdDSA ",
    "",
    None,
)


def claims(**changes: Any) -> Claims:
    said: dict[str, Any] = {
        "aud": str(AUDIENCE), "workflow_id": RUN, "fingerprint": PLAN, "decision": Choice.APPROVE,
        "comment": "fine", "by": "dana", "iat": int(NOON.timestamp()), "jti": "0123456789abcdef",
    }  # fmt: skip
    return Claims(**{**said, **changes})


def check(token: str, at: datetime = NOON, people: People = PEOPLE, **changes: Any) -> Identified:
    said: dict[str, Any] = {"decision": "approve", "by": "dana", "plan": PLAN, "comment": "fine"}
    decision = Decision(**{**said, **changes}, signature=token)
    subject = Subject(workflow_id=RUN, fingerprint=PLAN, audience=AUDIENCE)
    return verify(decision, subject=subject, people=people, at=at)


def assert_refused(known: Identified) -> str:
    assert known.objection
    assert known.approver is None or not known.approver.is_signed
    return known.objection


def test_a_signed_decision_proves_who_made_it() -> None:
    known = check(sign(claims(), DANA))
    assert known.objection == ""
    assert known.approver is not None
    assert (known.approver.name, known.approver.is_signed) == ("Dana", True)
    assert known.approver.key_id == DANA_KEY.id
    assert known.approver.token_id == "0123456789abcdef"


def test_the_name_and_the_prefix_may_have_any_equivalent_spelling() -> None:
    token = sign(claims(by="DANA"), DANA)
    assert not check(token, by=" Dana ".strip(), plan=PLAN[:8]).objection


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"aud": f"{'ab' * 16}/default"}, "signed for another installation of Plangate (abababab"),
        ({"aud": f"{AUDIENCE.installation}/staging"}, "signed for the namespace staging, not for default"),
        ({"workflow_id": "plan-2"}, "signed for the run plan-2"),
        ({"fingerprint": OTHER_PLAN}, "signed for plan cdcdcdcdcdcd"),
        ({"decision": Choice.REJECT}, "signed for 'reject', not for 'approve'"),
        ({"comment": "fine "}, "another comment"),
        ({"by": "eve"}, "in the name of eve"),
        ({"iat": int(NOON.timestamp()) + 301}, "in the future"),
    ],
)
def test_only_the_signed_decision_is_accepted(said: dict[str, Any], words: str) -> None:
    assert words in assert_refused(check(sign(claims(**said), DANA)))


def test_a_clock_that_is_five_minutes_ahead_is_tolerated() -> None:
    assert not check(sign(claims(iat=int(NOON.timestamp()) + 300), DANA)).objection


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"valid_until": NOON}, "not valid now; create one with `starter.py keys new`"),
        ({"valid_from": NOON + timedelta(seconds=1)}, "not valid now; create one"),
        ({"valid_from": NOON - timedelta(minutes=1)}, "when the key was not valid"),
    ],
)
def test_a_key_is_valid_from_its_first_to_its_last_instant(limits: dict[str, Any], words: str) -> None:
    people = People(persons=(Person(name="Dana", keys=(DANA_KEY.model_copy(update=limits),)),))
    token = sign(claims(iat=int((NOON - timedelta(hours=1)).timestamp())), DANA)
    assert words in assert_refused(check(token, people=people))


def test_a_key_signs_only_for_its_owner() -> None:
    assert "does not belong to Dana" in assert_refused(check(sign(claims(), EVE)))
    assert "is not in the list of people" in assert_refused(check(sign(claims(by="frank"), DANA), by="frank"))


def test_each_of_two_thousand_forgeries_is_refused_with_a_reason() -> None:
    kinds: Counter[str] = Counter()
    good = sign(claims(), DANA)
    for kind, token in _forgeries(good, Random(20)):
        reason = assert_refused(check(token))
        assert "\n" not in reason
        kinds[kind] += 1
    assert sum(kinds.values()) >= MINIMUM
    assert min(kinds.values()) >= 1
    assert not check(good).objection  # the only token that is not a forgery


def _forgeries(good: str, rng: Random) -> Iterator[tuple[str, str]]:
    yield from _with_changed_characters(good, rng)
    yield from _with_other_signatures(good)
    yield from _with_other_headers(good)
    yield from _with_other_claims(good)


def _with_changed_characters(good: str, rng: Random) -> Iterator[tuple[str, str]]:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ \u0430\u200b"
    for _ in range(900):
        at = rng.randrange(len(good))
        other = rng.choice([char for char in alphabet if char != good[at]])
        yield "one character", good[:at] + other + good[at + 1 :]
    for at in range(0, len(good), 2):
        yield "cut", good[:at]
    for at in range(0, len(good), 2):
        yield "doubled", good[:at] + good[at] + good[at:]
    for other in alphabet:
        if other != good[-1]:
            yield "same signature, encoded differently", good[:-1] + other
    head, body, tail = good.split(".")
    for filler in (" ", "\n", "=", "==", "!", "\u200b"):
        yield "same signature, encoded differently", good + filler
        yield "same signature, encoded differently", f"{head}.{body}.{tail[:5]}{filler}{tail[5:]}"
    for whole in ("", ".", "..", "...", "a.b.c", good + ".", "." + good, good.replace(".", ""), f"{good} x"):
        yield "no token", whole
    yield "json form", json.dumps({"payload": body, "protected": head, "signature": tail})


def _with_other_signatures(good: str) -> Iterator[tuple[str, str]]:
    head, body, tail = good.split(".")
    signature = _bytes(tail)
    for bit in range(512):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        yield "signature bit", f"{head}.{body}.{_encoded(bytes(flipped))}"
    # The order of the curve, added to the second half: a lax check accepts it as the same signature.
    order = 2**252 + 27742317777372353535851937790883648493
    increased = (int.from_bytes(signature[32:], "little") + order).to_bytes(33, "little")[:32]
    yield "malleable", f"{head}.{body}.{_encoded(signature[:32] + increased)}"
    other_key = ec.generate_private_key(ec.SECP256R1())
    kid = {"typ": TYPE, "kid": DANA_KEY.id}
    yield "another curve", jwt.encode(_decoded(body), other_key, "ES256", headers=kid)


def _with_other_headers(good: str) -> Iterator[tuple[str, str]]:
    head, body, tail = good.split(".")
    header = _decoded(head)
    for name in ALGORITHMS:
        forged = _encoded_json({**header, "alg": name})
        secrets = (public_of(DANA).encode(), _bytes(public_of(DANA)), b"")
        yield "alg", f"{forged}.{body}."
        yield "alg", f"{forged}.{body}.{tail}"
        for secret in secrets:
            digest = hmac.digest(secret, f"{forged}.{body}".encode(), "sha256")
            yield "alg", f"{forged}.{body}.{_encoded(digest)}"
    eve_key = {"kty": "OKP", "crv": "Ed25519", "x": public_of(EVE)}
    for more in (
        {"jwk": eve_key}, {"jku": "http://127.0.0.1/keys"}, {"x5c": ["AAAA"]}, {"x5u": "http://127.0.0.1/"},
        {"kid": key_id(public_of(EVE))}, {"kid": None}, {"kid": ["x"]}, {"kid": {"x": 1}}, {"typ": "JWT"},
        {"typ": None}, {"crit": ["b64"], "b64": False}, {"crit": ["x"]}, {"zip": "DEF"},
    ):  # fmt: skip
        signing = f"{_encoded_json({**header, **more})}.{body}"
        yield "header", f"{signing}.{_encoded(EVE.sign(signing.encode()))}"
        yield "header", f"{signing}.{tail}"


def _with_other_claims(good: str) -> Iterator[tuple[str, str]]:
    head, body, _ = good.split(".")
    said = _decoded(body)
    wrong: dict[str, list[object]] = {
        "aud": [
            "",
            "default",
            f"{AUDIENCE} ",
            f"{AUDIENCE}/",
            str(AUDIENCE).upper(),
            [str(AUDIENCE)],
            None,
            1,
        ],
        "workflow_id": ["plan-2", "plan-1 ", "Plan-1", 1, None, ["plan-1"]],
        "fingerprint": [OTHER_PLAN, PLAN[:12], PLAN.upper(), "", None, 7],
        "decision": ["reject", "request_changes", "APPROVE", "", None, ["approve"]],
        "comment": ["", "fine.", "Fine", None, 3],
        "by": ["eve", "d\u0430na", "dana\u200b", "", None, ["dana"]],
        "iat": [said["iat"] + 301, said["iat"] + 10**9, 2**63, -1, "now", None, 1.5, True],
        "jti": ["", "short", "x" * 101, "with blank inside", None, 12345678],
        "exp": [said["iat"] - 10**6],
        "role": ["ceo"],
    }
    for name, values in wrong.items():
        for value in values:
            yield "claim, signed by its owner", _signed({**said, name: value}, DANA)
            yield "claim, signed by another", _signed({**said, name: value}, EVE)
    for name in said:
        yield "claim missing", _signed({key: value for key, value in said.items() if key != name}, DANA)
    yield "another encoding of the claims", _signed_raw(json.dumps(said).encode())
    yield (
        "another encoding of the claims",
        _signed_raw(json.dumps(said, separators=(",", ":")).encode("utf-16")),
    )
    doubled = json.dumps(said, separators=(",", ":")).replace('"by":"dana"', '"by":"eve","by":"dana"')
    yield "another encoding of the claims", _signed_raw(doubled.encode())
    yield "another encoding of the claims", _signed_raw(b"\xef\xbb\xbf" + doubled.encode())
    for raw in (b"[]", b"null", b'"x"', b"{", b"\xff", b"", b'{"by":"dana"}' * 2):
        signing = f"{head}.{_encoded(raw)}"
        yield "no object", f"{signing}.{_encoded(DANA.sign(signing.encode()))}"


def _signed_raw(payload: bytes) -> str:
    """Return Dana's own signed claims, encoded differently from `sign`."""
    signing = f"{_encoded_json({'alg': 'EdDSA', 'typ': TYPE, 'kid': DANA_KEY.id})}.{_encoded(payload)}"
    return f"{signing}.{_encoded(DANA.sign(signing.encode()))}"


def _signed(said: dict[str, object], key: Ed25519PrivateKey) -> str:
    compact = json.dumps(said, separators=(",", ":")).encode()
    signing = f"{_encoded_json({'alg': 'EdDSA', 'typ': TYPE, 'kid': DANA_KEY.id})}.{_encoded(compact)}"
    return f"{signing}.{_encoded(key.sign(signing.encode()))}"


def _encoded_json(value: object) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _decoded(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(_bytes(text))
    return value


def test_no_key_that_anyone_could_sign_with_is_accepted_as_a_public_key() -> None:
    """Points of small order, and other encodings of a point, verify texts that their owner did not sign."""
    prime = 2**255 - 19
    small = [0, 1, prime - 1, *(int.from_bytes(bytes.fromhex(y), "little") for y in _OF_ORDER_EIGHT)]
    encodings = [*small, *(y + prime for y in small if y + prime < 2**255), prime + 3]
    for y in encodings:
        for sign_bit in (0, 1 << 255):
            public = base64.urlsafe_b64encode((y | sign_bit).to_bytes(32, "little")).rstrip(b"=").decode()
            with pytest.raises(ValueError, match="is not an Ed25519 public key"):
                checked_public(public)
    assert checked_public(DANA_KEY.x) == DANA_KEY.x


_OF_ORDER_EIGHT = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
