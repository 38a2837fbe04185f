"""Log in by OpenID Connect: the code flow with PKCE, state and nonce, using Authlib.

The web server's database keeps each login in progress, which can be used only once. A cookie with only a
random token binds it to the browser. Any response from the provider either signs the person in or is refused.

    login = Login(provider, place, database)
    pending = await login.begin("/runs/plan-1", browser, now)
    completed = await login.finish(query, browser, now)   # completed.claims["sub"]
"""

import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App
from sqlalchemy import delete, insert, select

from plangate.domain.errors import SettingsInvalid
from plangate.settings import Settings
from plangate.web.database import WebDatabase, hash_of
from plangate.web.public_address import WebAddress
from plangate.web.tables import logins

RETURN: Final = "/sign-in/return"
"""The path of the redirect URI, to which a provider redirects people after a login."""
VALID_FOR: Final = timedelta(minutes=10)
_TIMEOUT: Final = 10  # seconds, for each request to the provider
_LEEWAY: Final = 60  # allowed seconds between the provider's clock and this one
_METADATA_AGE: Final = timedelta(hours=1)
_TOKEN_BYTES: Final = 32
_ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""The accepted algorithms. Each needs the provider's private key; none uses a shared secret."""
_log = structlog.get_logger(__name__)


class LoginRefused(Exception):
    """The login failed; ``words`` is the key of the message that explains why."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True, slots=True)
class Provider:
    """The OpenID Connect provider in the settings.

    Attributes:
        issuer: its address.
        client_id: the id that the provider assigned to this server.
        client_secret: proves the identity of this server; empty for a public client.
        claim: the claim that identifies the person.
    """

    issuer: str
    client_id: str
    client_secret: str
    claim: str

    @property
    def host(self) -> str:
        """The host name, as pages show it."""
        return urlsplit(self.issuer).netloc


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login in progress.

    Attributes:
        url: the address to which the person is redirected.
        browser: the token of their browser, for a cookie.
    """

    url: str
    browser: str


@dataclass(frozen=True, slots=True)
class CompletedLogin:
    """A person who has logged in with the provider, and the provider's claims about them."""

    claims: Mapping[str, Any]
    next_page: str


def provider_of(settings: Settings) -> Provider | None:
    """Return the provider in the settings, or None.

    Raises:
        SettingsInvalid: the settings are incomplete.
    """
    if settings.oidc_issuer is None and settings.oidc_client_id is None:
        return None
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        raise SettingsInvalid("Set PLANGATE_OIDC_ISSUER and PLANGATE_OIDC_CLIENT_ID together, or neither.")
    secret = settings.oidc_client_secret
    return Provider(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=secret.get_secret_value() if secret else "",
        claim=settings.oidc_claim,
    )


class Login:
    """Redirects people to a provider, and handles its response."""

    def __init__(self, provider: Provider, place: WebAddress, database: WebDatabase) -> None:
        self.provider = provider
        self._engine = database.engine
        self._return = place.url + RETURN
        self._authorities = ssl.create_default_context()  # read once: Authlib creates a client for each call
        self._client: StarletteOAuth2App | None = None
        self._client_until: datetime | None = None

    async def begin(self, next_page: str, browser: str, now: datetime) -> PendingLogin:
        """Start a login.

        Args:
            next_page: the page to open after the login.
            browser: the token of this browser's cookie; empty for a new one.
            now: the current time.

        Raises:
            LoginRefused: the provider's response is invalid.
        """
        try:
            client = await self._discovered(now)
            authorization = await client.create_authorization_url(self._return)
        except LoginRefused:
            raise
        except Exception as error:  # noqa: BLE001  a refusal, not a 500
            raise self._refused("login.away", error) from None
        browser = browser or secrets.token_urlsafe(_TOKEN_BYTES)
        row = {
            "state_hash": hash_of(authorization["state"]),
            "browser_hash": hash_of(browser),
            "data": json.dumps(
                {"nonce": authorization["nonce"], "code_verifier": authorization["code_verifier"]}
            ),
            "next_page": next_page,
            "began_at": int(now.timestamp()),
        }
        with self._engine.begin() as connection:
            connection.execute(delete(logins).where(logins.c.began_at <= _oldest(now)))
            connection.execute(insert(logins).values(row))
        return PendingLogin(authorization["url"], browser)

    async def finish(self, answer: Mapping[str, str], browser: str, now: datetime) -> CompletedLogin:
        """Complete a login, and return the authenticated person.

        Args:
            answer: the parameters from the provider: the code and the state, or an error.
            browser: the token of this browser's cookie.
            now: the current time.

        Raises:
            LoginRefused: this browser did not start this login, or the response is not valid proof of
                identity.
        """
        if "error" in answer and "state" not in answer:  # some providers omit the state of an error
            raise self._denied(answer["error"])
        data, next_page = self._consumed(answer.get("state", ""), browser, now)
        if answer.get("iss", self.provider.issuer) != self.provider.issuer:
            raise self._refused("login.not_proven", "the response is from another issuer")
        if "error" in answer:
            raise self._denied(answer["error"])
        try:
            client = await self._discovered(now)
            token = await client.fetch_access_token(
                self._return, code=answer["code"], code_verifier=data["code_verifier"]
            )
            claims = await client.parse_id_token(token, nonce=data["nonce"], leeway=_LEEWAY)
            known = await self._with_claim(client, token, dict(claims))
        except LoginRefused:
            raise
        except Exception as error:  # noqa: BLE001  a bad token is a refusal, not a 500
            raise self._refused("login.not_proven", error) from None
        return CompletedLogin(known, next_page)

    async def logout_url(self, now: datetime) -> str | None:
        """Return the address at which a person can end their session at the provider, if any."""
        try:
            client = await self._discovered(now)
            if "end_session_endpoint" not in client.server_metadata:
                return None
            out = await client.create_logout_url(client_id=self.provider.client_id)
        except Exception as error:  # noqa: BLE001  the person is signed out here anyway
            self._refused("login.away", error)
            return None
        return str(out["url"])

    def _consumed(self, state: str, browser: str, now: datetime) -> tuple[dict[str, str], str]:
        """Return the stored login of a state, and delete it, so that it can be used only once."""
        matching = (
            (logins.c.state_hash == hash_of(state))
            & (logins.c.browser_hash == hash_of(browser))
            & (logins.c.began_at > _oldest(now))
        )
        with self._engine.begin() as connection:
            row = connection.execute(select(logins.c.data, logins.c.next_page).where(matching)).one_or_none()
            deleted = connection.execute(delete(logins).where(matching)).rowcount
        if row is None or deleted != 1:
            raise LoginRefused("login.not_begun")
        return json.loads(row.data), row.next_page

    async def _discovered(self, now: datetime) -> StarletteOAuth2App:
        """Return the client, with the provider's metadata, which is refreshed every hour.

        Raises:
            LoginRefused: the metadata belongs to a different provider than the one in the settings.
        """
        if self._client is not None and self._client_until is not None and now < self._client_until:
            return self._client
        client = self._new_client()
        metadata = await client.load_server_metadata()
        if metadata.get("issuer") != self.provider.issuer:
            raise self._refused("login.away", "its metadata has an issuer that is not PLANGATE_OIDC_ISSUER")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        # Authlib accepts the provider's list, which may contain `none`, or an algorithm with a shared secret.
        metadata["id_token_signing_alg_values_supported"] = [one for one in offered if one in _ALGORITHMS]
        self._client, self._client_until = client, now + _METADATA_AGE
        return client

    def _new_client(self) -> StarletteOAuth2App:
        issuer = self.provider.issuer.rstrip("/")
        client: StarletteOAuth2App = OAuth().register(
            "provider",
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret or None,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid profile email",
                "code_challenge_method": "S256",
                "timeout": _TIMEOUT,
                "verify": self._authorities,
                **({} if self.provider.client_secret else {"token_endpoint_auth_method": "none"}),
            },
        )
        return client

    async def _with_claim(
        self, client: StarletteOAuth2App, token: dict[str, Any], claims: dict[str, Any]
    ) -> Mapping[str, Any]:
        """Return the claims; ask the provider for them if the token does not contain the required claim."""
        if self.provider.claim in claims or "userinfo_endpoint" not in client.server_metadata:
            return claims
        userinfo = dict(await client.userinfo(token=token))
        if userinfo.get("sub") != claims["sub"]:
            raise self._refused("login.not_proven", "its user info is for another person")
        return {**userinfo, **claims}

    def _denied(self, error: str) -> LoginRefused:
        words = "login.denied" if error == "access_denied" else "login.not_proven"
        return self._refused(words, "the provider returned an error")

    def _refused(self, words: str, why: Exception | str) -> LoginRefused:
        """Log why a login failed, without text from the provider, and return the error."""
        reason = why if isinstance(why, str) else type(why).__name__
        _log.warning("A login failed.", action="login_refused", issuer=self.provider.issuer, reason=reason)
        return LoginRefused(words)


def _oldest(now: datetime) -> int:
    return int((now - VALID_FOR).timestamp())
