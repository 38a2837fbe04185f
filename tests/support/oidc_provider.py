"""An OpenID Connect provider in its own process, which checks PKCE and returns false responses on request.

`PUT /next` sets its response to the next login: a fault of `FAULTS`, and the claims of the person. Every
`GET /authorize` redirects back immediately, as for a person who is already logged in.
"""

import base64
import hashlib
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CLIENT_ID = "plangate-inbox"
FAULTS = (
    "nonce", "no nonce", "issuer", "audience", "azp", "expired", "key", "alg none", "shared secret", "no sub",
    "no id token", "no jwt", "not json", "list", "server error", "redirect", "another person",
)  # fmt: skip


def _number(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _jwk(key: RSAPrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": "one", "use": "sig", "n": _number(numbers.n), "e": _number(numbers.e)}


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    issuer: ClassVar[str] = ""
    key: ClassVar[RSAPrivateKey] = generate_private_key(65_537, 2_048)
    other_key: ClassVar[RSAPrivateKey] = generate_private_key(65_537, 2_048)
    next: ClassVar[dict[str, Any]] = {"fault": "", "claims": {"sub": "dana"}}
    begun: ClassVar[dict[str, dict[str, str]]] = {}

    def log_message(self, *_: object) -> None: ...

    def do_PUT(self) -> None:
        type(self).next = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(204)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match parts.path:
            case "/.well-known/openid-configuration":
                self._json(
                    {
                        "issuer": self.issuer,
                        "authorization_endpoint": f"{self.issuer}/authorize",
                        "token_endpoint": f"{self.issuer}/token",
                        "userinfo_endpoint": f"{self.issuer}/userinfo",
                        "end_session_endpoint": f"{self.issuer}/logout",
                        "jwks_uri": f"{self.issuer}/jwks",
                        # A provider may offer insecure algorithms.
                        "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                    }
                )
            case "/jwks":
                self._json({"keys": [_jwk(self.key)]})
            case "/authorize":
                assert asked["code_challenge_method"] == "S256"
                assert asked["response_type"] == "code"
                code = secrets.token_urlsafe(8)
                self.begun[code] = asked
                back = urlencode({"code": code, "state": asked["state"]})
                self._send(302, headers={"Location": f"{asked['redirect_uri']}?{back}"})
            case "/userinfo":
                of_another = self.next["fault"] == "another person"
                claims = self.next.get("userinfo", self.next["claims"])
                self._json({**claims, "sub": "fred"} if of_another else claims)
            case _:
                self._send(404)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        begun = self.begun.pop(form.get("code", [""])[0], None)
        verifier = form.get("code_verifier", [""])[0].encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        if begun is None or begun["code_challenge"] != challenge:
            self._json({"error": "invalid_grant"}, 400)
            return
        match self.next["fault"]:
            case "server error":
                self._send(500, b"out of order")
            case "not json":
                self._send(200, b"<p>hello")
            case "list":
                self._json(["no", "token"])
            case "redirect":
                self._send(302, headers={"Location": f"{self.issuer}/authorize"})
            case "no id token":
                self._json({"access_token": "a", "token_type": "Bearer", "expires_in": 3_600})
            case _:
                signed = {"id_token": self._id_token(begun["nonce"])}
                self._json({"access_token": "a", "token_type": "Bearer", "expires_in": 3_600, **signed})

    def _id_token(self, nonce: str) -> str:
        fault, at = self.next["fault"], int(time.time())
        claims: dict[str, Any] = {"iss": self.issuer, "aud": CLIENT_ID, "iat": at, "exp": at + 60}
        claims |= {"nonce": nonce, **self.next["claims"]}
        key: Any = self.key
        algorithm = "RS256"
        match fault:
            case "nonce":
                claims["nonce"] = "another"
            case "no nonce":
                del claims["nonce"]
            case "issuer":
                claims["iss"] = "https://elsewhere.example.org"
            case "audience":
                claims["aud"] = "another-client"
            case "azp":
                claims |= {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"}
            case "expired":
                claims |= {"iat": at - 7_200, "exp": at - 3_600}
            case "key":
                key = self.other_key
            case "alg none":
                key, algorithm = None, "none"
            case "shared secret":
                return self._by_public_key(claims)
            case "no sub":
                del claims["sub"]
            case "no jwt":
                return "no.jwt"
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": "one"})

    def _by_public_key(self, claims: dict[str, Any]) -> str:
        """Return a token under HS256, with the public key as the secret."""
        import hmac  # noqa: PLC0415  only for this attack

        pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        parts = [
            base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=")
            for one in ({"alg": "HS256", "kid": "one"}, claims)
        ]
        signature = hmac.digest(pem, b".".join(parts), "sha256")
        return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()

    def _json(self, content: object, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    Provider.issuer = f"http://127.0.0.1:{server.server_port}"
    sys.stdout.write(f"{Provider.issuer}\n")
    sys.stdout.flush()
    server.serve_forever()
