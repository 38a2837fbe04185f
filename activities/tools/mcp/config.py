"""Read the file of MCP servers: the usual ``mcpServers`` JSON, with a key ``plangate`` for each server.

A server's own statements (annotations, description) are not trusted. Only the operator's entries under
``plangate`` are trusted: which tools are read-only, whether and for how long each can be repeated safely,
which tools are offered, and the time limit.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activities.tools.mcp.secrets import Secrets
from plangate.domain.errors import FileInvalid
from plangate.domain.faults import Fault, FaultPath
from plangate.domain.plans.tool import LONGEST_ACTION, RetrySafety
from plangate.domain.validation import faults_in
from plangate.logs.redaction import REDACTED, redact
from plangate.settings import variable_of_environment

START_SECONDS: Final = 20
"""Seconds for starting a server, the handshake and listing its tools together."""
TURN_SECONDS: Final = 60
"""Seconds that a call may wait for earlier calls to the same server."""
SHUTDOWN_SECONDS: Final = 10
"""Seconds for ending a server after a call."""
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}$]*))?\}")
_LONGEST_CALL: Final = LONGEST_ACTION - TURN_SECONDS - START_SECONDS - 2 * SHUTDOWN_SECONDS
_MAX_FILE: Final = 1_000_000
_SAFETIES: Final = {"unknowable": RetrySafety.UNKNOWABLE, "vendor_key": RetrySafety.VENDOR_KEY}

Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Texts = dict[Text, Annotated[str, Field(max_length=10_000)]]


class Trusted(BaseModel):
    """An operator's statements about a server, under the key ``plangate``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    reads: list[Text] = []
    retry_safety: dict[Text, Literal["unknowable", "vendor_key"]] = {}
    tools: list[Text] | None = None
    seconds: int = Field(default=60, ge=1, le=_LONGEST_CALL)
    key_seconds: int = Field(default=82_800, ge=0, le=315_360_000)

    @property
    def key_life(self) -> timedelta:
        """How long the server keeps a call's key, less a margin for clock differences and requests."""
        return timedelta(seconds=self.key_seconds)

    def safety(self, tool: str) -> RetrySafety:
        """Return the retry safety of a tool, given its name on the server."""
        return _SAFETIES[self.retry_safety.get(tool, "unknowable")]

    def named(self) -> Iterator[tuple[str, str]]:
        """Yield each tool in the entries, with the key that contains it."""
        for key, names in (("reads", self.reads), ("retry_safety", self.retry_safety), ("tools", self.tools)):
            for name in names or ():
                yield key, name


class _Entry(BaseModel):
    """A server's entry in the file; other programs' keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    type: str | None = None
    command: Text | None = None
    args: list[str] = []
    cwd: Text | None = None
    env: Texts = {}
    url: Annotated[str, Field(pattern=r"^https?://[!-~]+$")] | None = None
    headers: Texts = {}
    disabled: bool = False
    plangate: Trusted = Trusted()


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    servers: dict[Text, _Entry] = Field(alias="mcpServers", max_length=100)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One MCP server, with the values of its variables.

    Attributes:
        name: its name in the file.
        command: the program and its arguments; empty for a server over HTTP.
        url: the address of a server over HTTP.
        variables: the environment of the program, or the headers of each request. Secret.
        secrets: the values that are removed from all text that comes from the server.
        missing: the variables in the file that are not set in the environment.
    """

    name: str
    command: tuple[str, ...] = ()
    cwd: str | None = None
    url: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    missing: tuple[str, ...] = ()
    trusted: Trusted = field(default_factory=Trusted)

    @property
    def call_seconds(self) -> int:
        """The time limit of one call, including the wait for its turn and the server's start and shutdown."""
        return TURN_SECONDS + START_SECONDS + self.trusted.seconds + 2 * SHUTDOWN_SECONDS

    @property
    def shared(self) -> dict[str, Any]:
        """The part that must be the same for all workers of a task queue, as JSON without secrets."""
        return {"name": self.name, "command": self.command, "url": self.url, **self.trusted.model_dump()}


def read_config(path: Path) -> tuple[ServerConfig, ...]:
    """Return the servers in a file, in order.

    Raises:
        FileInvalid: contains all errors.
    """
    try:
        with path.open("rb") as opened:
            text = opened.read(_MAX_FILE + 1)
    except OSError as error:
        raise FileInvalid(str(path), [Fault((), f"cannot be read ({error.strerror})")]) from None
    if len(text) > _MAX_FILE:
        raise FileInvalid(str(path), [Fault((), f"has more than {_MAX_FILE:,} bytes")])
    try:
        file = _File.model_validate_json(text)
    except ValidationError as error:
        raise FileInvalid(str(path), faults_in(error)) from None
    faults = [
        fault
        for name, entry in file.servers.items()
        for fault in _faults(entry, ("mcpServers", name))
        if not entry.disabled
    ]
    if faults:
        raise FileInvalid(str(path), faults)
    return tuple(_server(name, entry) for name, entry in file.servers.items() if not entry.disabled)


def _faults(entry: _Entry, at: FaultPath) -> Iterator[Fault]:
    if (entry.command is None) == (entry.url is None):
        yield Fault(at, "needs either a command or a url")
    if entry.type == "sse":
        yield Fault((*at, "type"), "is the old SSE transport; use the server's streamable HTTP address")
    if entry.command is not None and entry.headers:
        yield Fault((*at, "headers"), "are for a server with a url; use env")
    if entry.url is not None and (entry.env or entry.args or entry.cwd):
        yield Fault(at, "has a url, so env, args and cwd have no effect; remove them")
    if entry.url is not None and "@" in entry.url.partition("://")[2].partition("/")[0]:
        yield Fault((*at, "url"), "has a user or password; use headers, which are kept secret")
    shown = [
        ("command", entry.command or ""),
        ("url", entry.url or ""),
        *(("args", one) for one in entry.args),
    ]
    for key, text in shown:
        if _VARIABLE.search(text):
            yield Fault(
                (*at, key),
                "contains a variable; only env and headers may contain variables, because other people see "
                "this value",
            )
    for name, value in (*entry.env.items(), *entry.headers.items()):
        if any(mark in name or mark in value for mark in "\0\r\n") or "=" in name:
            yield Fault(
                (*at, "env" if entry.env else "headers", name), "contains a character that is not allowed"
            )
    if entry.plangate.tools is not None:
        for key, name in entry.plangate.named():
            if name not in entry.plangate.tools:
                yield Fault((*at, "plangate", key), f"contains {name}, which is not in its list of tools")


def _server(name: str, entry: _Entry) -> ServerConfig:
    missing: list[str] = []
    secrets: list[str] = []
    variables: dict[str, str] = {}

    def value_of(match: re.Match[str]) -> str:
        value = variable_of_environment(match[1])
        if value is not None:
            secrets.append(value)
            return value
        if match[2] is None:
            missing.append(match[1])
        return match[2] or ""

    for key, text in (entry.env or entry.headers).items():
        variables[key] = _VARIABLE.sub(value_of, text)
        if redact(key, text) == REDACTED:  # the file itself contains a secret
            secrets.append(variables[key])
    return ServerConfig(
        name=name,
        command=(entry.command, *entry.args) if entry.command else (),
        cwd=entry.cwd,
        url=entry.url or "",
        variables=variables,
        secrets=Secrets(secrets),
        missing=tuple(dict.fromkeys(missing)),
        trusted=entry.plangate,
    )
