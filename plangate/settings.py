"""The settings. No other module reads the environment.

The exceptions are Temporal's own variables (``TEMPORAL_ADDRESS`` and similar), which
`plangate.temporal.connection` reads through Temporal's library, and those of every terminal (``TERM``,
``NO_COLOR``, ``COLUMNS``), which `plangate.presentation.console` reads.
"""

import getpass
import os
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from plangate.domain.errors import SettingsInvalid
from plangate.domain.validation import faults_in

_PREFIX: Final = "PLANGATE_"
_SIMILAR: Final = 0.7  # a misspelled name exceeds it
_SERVICE_HOST: Final = "_SERVICE_HOST"  # the end of a name that Kubernetes sets for each service
_PORTS: Final = {"http": 80, "https": 443}
PROJECT = Path(__file__).resolve().parent.parent


def _var_dir() -> Path:
    """Return ``var`` next to worker.py; if installed, the user's data folder (XDG specification)."""
    if (PROJECT / "worker.py").exists():
        return PROJECT / "var"
    base = Path(os.environ.get("XDG_STATE_HOME", ""))  # noqa: TID251  this module reads the environment
    return (base if base.is_absolute() else _home("VAR") / ".local" / "state") / "plangate"


def _home(needed_for: str) -> Path:
    """Return the home directory of this user.

    Raises:
        SettingsInvalid: the operating system has no entry for this user, and HOME is not set.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise SettingsInvalid(
            f"This user has no home directory; set PLANGATE_{needed_for}_DIR to a directory, or set HOME."
        ) from None


class Settings(BaseSettings):
    """All settings. A setting without an alias is read from ``PLANGATE_`` and its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    task_queue: str = Field(
        default="plangate",
        pattern=r"^[!-.0-~][!-~]{0,199}$",  # Temporal reserves names that begin with /
        examples=["plangate"],
        description="the Temporal task queue",
    )
    var_dir: Path = Field(default_factory=_var_dir, description="the directory of local data")
    database_url: SecretStr | None = Field(
        default=None, description="the database of the records; unset: SQLite under var/"
    )

    model: str = Field(default="gpt-4o-mini", description="the model that drafts plans")
    model_config_file: Path | None = Field(
        default=None,
        validation_alias="PLANGATE_MODEL_CONFIG",
        description="an AutoGen component file (JSON) of another model client",
    )
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(default=None, validation_alias="OPENAI_BASE_URL")
    planner: str | None = Field(
        default=None,
        description="MODULE:NAME of another planner: a function, or an AutoGen agent or team",
    )
    draft_seconds: int = Field(  # less than the hour in `workflows.options.DRAFT`
        default=300, ge=1, le=3_500, description="the time limit of one draft, in seconds"
    )
    draft_turns: int = Field(
        default=100, ge=1, le=1_000, description="how many model responses one draft may use"
    )
    draft_tokens: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="how many tokens one draft may take; unset: no limit",
    )
    draft_cost: Decimal | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        examples=["0.50"],
        description="how much one draft may cost, as the planner reports it; unset: no limit",
    )
    model_outage_seconds: int = Field(
        default=3600,
        ge=0,
        le=31_536_000,
        description="how long a draft waits while the model's service is unavailable, in seconds",
    )
    late_effect_seconds: int = Field(
        default=3600,
        ge=0,
        le=3600,
        description="how long an effect in doubt may still happen before a person is asked, in seconds; "
        "at most its tool's time limit",
    )
    max_steps: int = Field(default=20, ge=1, le=200, description="how many steps a plan may have")

    policy_file: Path | None = Field(
        default=None,
        validation_alias="PLANGATE_POLICY",
        description="the policy (TOML): who must approve what; unset: anyone but the requester",
    )
    people_file: Path | None = Field(
        default=None,
        validation_alias="PLANGATE_PEOPLE",
        description="the list of people (TOML): roles, keys, delegations; unset: names are not checked",
    )
    keys_dir: Path | None = Field(default=None, description="the directory of private keys to sign with")

    key_passphrase: SecretStr | None = Field(default=None, description="the passphrase of a private key")

    seal_key_file: Path | None = Field(
        default=None,
        validation_alias="PLANGATE_SEAL_KEY",
        description="the private key that a worker seals the trail with; unset: var/seal.pem",
    )
    seal_seconds: int = Field(
        default=10, ge=1, le=86_400, description="seconds between two seals of the trail"
    )
    sealers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="public keys whose seals are trusted, comma-separated; ed25519:…"
    )

    tools: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="modules with more tools, comma-separated; MODULE or MODULE:NAME"
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="smtp://USER:PASSWORD@HOST:PORT, smtps:// or smtp+starttls://; unset: var/outbox/",
    )
    mail_from: str = Field(default="plangate@localhost", description="the sender of mails")
    attachments_dir: Path | None = Field(
        default=None, description="the folder of files that emails can attach; unset: no attachments"
    )
    http_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="hosts that http_request may reach, comma-separated; HOST or HOST:PORT"
    )
    http_private_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="allowed hosts that may be on a private network"
    )
    http_idempotent_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="allowed hosts that honour Idempotency-Key, so that a call may be repeated"
    )
    http_key_seconds: int = Field(
        default=82_800,
        ge=0,
        le=315_360_000,
        description="how long after a call these hosts keep its key; 0: no call is repeated by its key",
    )
    http_headers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="headers that a plan may set in addition to the usual ones, comma-separated"
    )

    tickets: Literal["github", "jira"] | None = Field(
        default=None, description="the tracker of the tickets; unset: the configured one"
    )
    github_token: SecretStr | None = Field(default=None, description="a token that may write issues")
    github_repos: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="repositories whose issues plans may use, comma-separated; OWNER/NAME"
    )
    github_api_url: str = Field(default="https://api.github.com", description="the address of GitHub's API")
    jira_url: str | None = Field(default=None, description="the address of Jira")
    jira_user: str | None = Field(
        default=None, description="the account of an API token, needed in the cloud; unset: a personal token"
    )
    jira_token: SecretStr | None = Field(default=None, description="an API token, or a personal access token")
    jira_projects: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="keys of the projects that plans may use, comma-separated"
    )
    jira_issue_type: str = Field(default="Task", description="the type of the issues that are created")
    mcp_config_file: Path | None = Field(
        default=None,
        validation_alias="PLANGATE_MCP_CONFIG",
        description="the file of MCP servers (JSON, `mcpServers`) whose tools plans can use",
    )
    stripe_api_key: SecretStr | None = Field(
        default=None, description="the key of the payment tools, rk_… or sk_…; unset: they are not offered"
    )
    stripe_api_base: str | None = Field(
        default=None, description="a different address for Stripe's API; unset: https://api.stripe.com"
    )

    public_temporal_address: str | None = Field(
        default=None,
        pattern=r"^[^\s/]+:[0-9]{1,5}$",
        examples=["temporal.example.org:7233"],
        description="HOST:PORT of the Temporal server as users reach it, if different from the worker's",
    )
    public_temporal_ui: str | None = Field(
        default=None,
        pattern=r"^https?://[!-~]+$",
        examples=["https://temporal.example.org"],
        description="the address of Temporal's Web UI",
    )

    web_address: str = Field(
        default="127.0.0.1:8088",
        description="HOST:PORT on which the inbox listens; off: workers do not run the inbox",
    )
    web_url: str = Field(
        default="http://localhost:8088",
        examples=["https://plangate.example.org"],
        description="the address at which people open the inbox; https unless it is this machine",
    )
    web_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="public keys of the web servers that may attest logins, comma-separated; ed25519:…",
    )
    web_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="addresses of the proxies in front of the inbox, comma-separated"
    )
    oidc_issuer: str | None = Field(
        default=None,
        examples=["https://login.example.org"],
        description="the OpenID Connect provider at which people log in to the inbox; unset: none",
    )
    oidc_client_id: str | None = Field(default=None, description="the client id that the provider gave")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="the client secret; unset: a public client"
    )
    oidc_claim: str = Field(
        default="email",
        pattern=r"^[!-~]{1,200}$",
        examples=["email"],
        description="the claim that identifies a person: email by their email address, others by their name",
    )

    notices: Literal["on", "off"] = Field(
        default="on", description="whether workers send notices; off: only `plangate notify` does"
    )
    notice_digest: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="seconds for which notices to one address are gathered into one message; 0: none",
    )
    notices_per_hour: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="maximum number of messages to an address per hour; further ones are combined",
    )
    operators: str = Field(
        default="operator",
        pattern=r"^[!-~]{1,100}$",
        examples=["operator"],
        description="the role of the people who are notified when something is wrong with the installation",
    )

    worker_build_id: str | None = Field(
        default=None, description="turns on worker versioning, with AUTO_UPGRADE"
    )
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("http_allowed_hosts", "http_private_hosts", "http_idempotent_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        return _split(value.lower()) if isinstance(value, str) else value

    @field_validator("web_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        """Return the origin in the form that browsers use."""
        try:
            parts = urlsplit(value)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("must be an address") from None
        if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must be an address without a path")
        if parts.username is not None or not host.isascii() or not _is_host(host):
            raise ValueError("must have a host and no user name")
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError(f"use https for {host}: only this machine may be reached without it")
        shown = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{shown}" + ("" if port in (None, _PORTS[parts.scheme]) else f":{port}")

    @field_validator("web_proxies")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse a name or a network: a request shows only the address from which it comes."""
        try:
            return tuple(str(ip_address(one)) for one in value)
        except ValueError:
            raise ValueError("write the IP address of each proxy, such as 10.0.0.7") from None

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str | None) -> str | None:
        """Check a provider's address: it must use https except on this machine, as it identifies people."""
        parts = urlsplit(value or "https://none")
        if parts.query or parts.fragment or parts.username is not None or not parts.hostname:
            raise ValueError("must be a URL without a user name, query or fragment")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("must be https")
        return value

    @field_validator(
        "sealers",
        "web_keys",
        "web_proxies",
        "http_headers",
        "tools",
        "github_repos",
        "jira_projects",
        mode="before",
    )
    @classmethod
    def _keys(cls, value: object) -> object:
        return _split(value) if isinstance(value, str) else value

    @property
    def records(self) -> str | Path:
        """The URL of a database, or the path of a SQLite file."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return self.var_dir / "records.db"

    @property
    def private_keys(self) -> Path:
        """The directory of private keys, by default as in the XDG base directory specification."""
        base = Path(os.environ.get("XDG_CONFIG_HOME", ""))  # noqa: TID251  this module reads the environment
        return (
            self.keys_dir or (base if base.is_absolute() else _home("KEYS") / ".config") / "plangate" / "keys"
        )

    @property
    def seal_key(self) -> Path:
        """The private key that the workers of this host use to seal the trail."""
        return self.seal_key_file or self.var_dir / "seal.pem"

    @property
    def last_checkpoint(self) -> Path:
        """The file in which the workers of this host save their newest checkpoint, outside the database."""
        return self.var_dir / "last-checkpoint.json"

    @property
    def outbox(self) -> Path:
        """The directory for outgoing mail if no SMTP server is set."""
        return self.var_dir / "outbox"

    @property
    def web_key(self) -> Path:
        """The private key that the inbox of this host uses to attest logins."""
        return self.var_dir / "web.pem"

    @property
    def has_web(self) -> bool:
        """Whether `worker.py --dev` also runs the inbox."""
        return self.web_address != "off"

    @property
    def has_openai(self) -> bool:
        """Whether the environment contains an OpenAI key or the address of a compatible server."""
        return self.openai_api_key is not None or self.openai_base_url is not None

    @property
    def has_model(self) -> bool:
        """Whether a model is configured."""
        return self.model_config_file is not None or self.has_openai


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host with this name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_host(host: str) -> bool:
    return ":" in host or all(char.isalnum() or char in "-._" for char in host)


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        SettingsInvalid: a variable has an invalid value, or its name is a misspelled setting.
    """
    known = {variable_of(name).removeprefix(_PREFIX): variable_of(name) for name in Settings.model_fields}
    for unknown in unknown_variables():
        if similar := get_close_matches(unknown.removeprefix(_PREFIX), known, n=1, cutoff=_SIMILAR):
            raise SettingsInvalid(
                f"There is no setting {unknown}: write {known[similar[0]]} if you mean that one, "
                "otherwise remove the variable, or give it a name that does not begin with PLANGATE_."
            )
    try:
        return Settings()
    except ValidationError as error:
        fault = faults_in(error)[0]
        name = str(fault.path[0])
        variable = name if name.isupper() else variable_of(name)
        says = fault.message.startswith(("use ", "write "))
        advice = fault.message if says else _advice(name) or f"it {fault.message}"
        raise SettingsInvalid(f"The setting {variable} cannot be used: {advice}.") from None


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"{_PREFIX}{name.upper()}"


def unknown_variables() -> list[str]:
    """Return the variables of the environment that begin like a setting, but are none.

    The variables that Kubernetes sets for each service, such as ``plangate-database``, are left out.
    """
    known = {variable_of(name) for name in Settings.model_fields}
    found = {name.upper() for name in os.environ}  # noqa: TID251  this module reads the environment
    services = [name.removesuffix(_SERVICE_HOST) for name in found if name.endswith(_SERVICE_HOST)]
    of_services = tuple(f"{one}_{part}_" for one in services for part in ("SERVICE", "PORT"))
    others = (name for name in found - known if not f"{name}_".startswith(of_services))
    return sorted(name for name in others if name.startswith(_PREFIX))


def _advice(name: str) -> str:
    """Return a hint about the valid values of a setting; empty if there is none for its type."""
    shape = Settings.model_json_schema()["properties"].get(name, {})
    match {**shape, **next(iter(shape.get("anyOf", ())), {})}:  # "anyOf" means that the setting may be unset
        case {"enum": [*words, last]}:
            return f"use {', '.join(words)} or {last}"
        case {"minimum": least, "maximum": most}:
            return f"use a whole number from {least} to {most}"
        case {"examples": [example]}:
            return f"write it like {example}"
    return ""


def environment_with(changes: Mapping[str, str | None], *, without: str | tuple[str, ...]) -> dict[str, str]:
    """Return a modified copy of this process's environment for another program.

    Args:
        changes: variables to set; None removes one.
        without: prefixes of the variables that are removed first.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(without)}  # noqa: TID251
    merged = {**kept, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def variable_of_environment(name: str) -> str | None:
    """Return a variable that the file of MCP servers refers to as ``${NAME}``; it may be secret."""
    return os.environ.get(name)  # noqa: TID251  this module reads the environment


def editor_of_environment() -> str:
    """Return the command of the editor in $VISUAL or $EDITOR; empty if neither is set."""
    variables = os.environ  # noqa: TID251  this module reads the environment
    return variables.get("VISUAL", "").strip() or variables.get("EDITOR", "").strip()


def proxies_of_environment() -> dict[str, str]:
    """Return HTTP_PROXY and similar variables by their first word, in lower case (``http``, ``no``)."""
    return getproxies()


def needs_no_proxy(host: str) -> bool:
    """Return whether NO_PROXY contains this host, with or without its port."""
    return bool(proxy_bypass(host))


def operating_system_user() -> str:
    """Return the user name in the operating system."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
