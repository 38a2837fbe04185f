"""A passkey in software, which returns the same assertions as a browser with a real authenticator."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import BaseModel

from plangate.signing.base64url import encoded
from plangate.signing.cose_keys import passkey_of
from plangate.signing.passkeys import Assertion, challenge_of, challenge_of_batch, passkey_token

ORIGIN = "https://plangate.example.org"
RP_ID = "plangate.example.org"
PRESENT, VERIFIED, BACKUP_ELIGIBLE, BACKED_UP = 0x01, 0x04, 0x08, 0x10
FLAGS = PRESENT | VERIFIED | BACKUP_ELIGIBLE | BACKED_UP
"""The flags of a synced passkey, as on phones."""
ALGORITHMS = ("ES256", "EdDSA", "RS256")
_N = ec.SECP256R1()
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Passkey:
    """One credential: its id, its private key, and the COSE key as the authenticator encoded it."""

    id: bytes
    private: PrivateKey
    cose: bytes

    @property
    def public(self) -> str:
        return passkey_of(self.cose)

    def sign(self, data: bytes) -> bytes:
        match self.private:
            case ec.EllipticCurvePrivateKey():
                return self.private.sign(data, ec.ECDSA(SHA256()))
            case ed25519.Ed25519PrivateKey():
                return self.private.sign(data)
            case rsa.RSAPrivateKey():
                return self.private.sign(data, padding.PKCS1v15(), SHA256())

    def answer(
        self,
        challenge: bytes,
        *,
        origin: str = ORIGIN,
        rp_id: str = RP_ID,
        flags: int = FLAGS,
        kind: str = "webauthn.get",
        counter: int = 0,
        **client: Any,
    ) -> Assertion:
        """Sign a challenge; the other arguments are the statements of browser and authenticator."""
        said = {
            "type": kind, "challenge": encoded(challenge), "origin": origin, "crossOrigin": False, **client
        }  # fmt: skip
        return self.sign_raw(
            json.dumps(said, separators=(",", ":")).encode(),
            hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + counter.to_bytes(4),
        )

    def sign_raw(self, client_data: bytes, authenticator_data: bytes) -> Assertion:
        signature = self.sign(authenticator_data + hashlib.sha256(client_data).digest())
        return Assertion(
            credential_id=encoded(self.id),
            client_data=encoded(client_data),
            authenticator_data=encoded(authenticator_data),
            signature=encoded(signature),
        )

    def token(self, claims: BaseModel, **ceremony: Any) -> str:
        return passkey_token(claims, self.answer(challenge_of(claims), **ceremony))

    def batch_tokens(self, batch: Sequence[BaseModel], **ceremony: Any) -> list[str]:
        """Sign several approvals with one confirmation; return the token of each."""
        answer = self.answer(challenge_of_batch(batch), **ceremony)
        return [passkey_token(one, answer, batch) for one in batch]


@cache
def passkey(name: str, algorithm: str = "ES256") -> Passkey:
    """Return the passkey with that name, always the same one; RSA keys are random, and slow to create."""
    credential = hashlib.sha256(f"{name} {algorithm}".encode()).digest()[:16]
    match algorithm:
        case "ES256":
            ec_key = ec.derive_private_key(int.from_bytes(credential), _N)
            numbers = ec_key.public_key().public_numbers()
            x, y = numbers.x.to_bytes(32), numbers.y.to_bytes(32)
            return Passkey(credential, ec_key, cose({1: 2, 3: -7, -1: 1, -2: x, -3: y}))
        case "EdDSA":
            ed_key = ed25519.Ed25519PrivateKey.from_private_bytes(credential * 2)
            raw = ed_key.public_key().public_bytes_raw()
            return Passkey(credential, ed_key, cose({1: 1, 3: -8, -1: 6, -2: raw}))
        case "RS256":
            rsa_key = rsa.generate_private_key(65_537, 2_048)
            n = rsa_key.public_key().public_numbers().n.to_bytes(256)
            return Passkey(credential, rsa_key, cose({1: 3, 3: -257, -1: n, -2: b"\x01\x00\x01"}))
        case _:
            raise ValueError(algorithm)


def cose(parameters: dict[Any, Any]) -> bytes:
    return cbor2.dumps(parameters, canonical=True)
