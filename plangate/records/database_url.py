"""Parse the setting that locates the records: a path, or a URL of SQLite or PostgreSQL.

It also accepts ``postgres://``, and several hosts in one address; the writable host is then used. If libpq
does not recognize an option, the error message states which.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from plangate.domain.errors import SettingsInvalid
from plangate.domain.escaping import cut, one_line

_SETTING: Final = "PLANGATE_DATABASE_URL"
_SCHEMES: Final = {"postgres": "postgresql", "postgresql": "postgresql", "sqlite": "sqlite"}
_SEVERAL_HOSTS: Final = re.compile(
    r"(?P<before>[\w+]+://(?:[^@]*@)?)(?P<hosts>[^/?@,]*,[^/?@]*)(?P<rest>(?:[/?].*)?)"
)
_SEVERAL: Final = "several.invalid"  # replaces several hosts when SQLAlchemy parses the URL
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%\w]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?")
_OF_OTHER_PROGRAMS: Final = {
    "pgbouncer": "remove it, and connect directly to the server or to a pool in session mode: transactions "
    "rely on session settings",
    "ssl": "write sslmode=require, or verify-full",
    "schema": "write options=-csearch_path%3DNAME",
    "currentSchema": "write options=-csearch_path%3DNAME",
}


@dataclass(frozen=True, slots=True)
class SqlitePlace:
    """A file."""

    path: Path

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"sqlite:///{self.path}"


@dataclass(frozen=True, slots=True)
class PostgresqlPlace:
    """A database on a server, and libpq's options that are not in the URL."""

    url: URL
    hosts: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The URL without password and options, for messages; options may contain a password too."""
        shown = self.url.set(query={}).render_as_string(hide_password=True)
        if "host" not in self.hosts:
            return shown
        hosts = zip(self.hosts["host"].split(","), self.hosts["port"].split(","), strict=True)
        return shown.replace(_SEVERAL, ",".join(f"{name}:{port}" for name, port in hosts))


Place = SqlitePlace | PostgresqlPlace


def read_place(setting: str | Path) -> Place:
    """Return the location that a path or a URL specifies.

    Raises:
        SettingsInvalid: it cannot be parsed, or is for a database that is neither SQLite nor PostgreSQL.
    """
    if isinstance(setting, Path):
        return SqlitePlace(setting.absolute())
    several = _SEVERAL_HOSTS.fullmatch(setting)
    hosts: dict[str, str] = {}
    if several is not None:
        hosts = _hosts(several["hosts"].split(","))
        setting = f"{several['before']}{_SEVERAL}{several['rest']}"
    url = _parsed(setting)
    kind = _SCHEMES.get(url.drivername.partition("+")[0])
    match kind:
        case "sqlite":
            return _sqlite(url, has_options="?" in setting)
        case "postgresql":
            return _postgresql(url, hosts)
        case _:
            raise SettingsInvalid(
                f"{_SETTING} is for {url.get_backend_name()}; SQLite and PostgreSQL are supported."
            )


def _parsed(setting: str) -> URL:
    try:
        url = make_url(setting)
    except (ArgumentError, ValueError):
        raise SettingsInvalid(
            f"{_SETTING} is not a database URL; write sqlite:///PATH or postgresql://USER@HOST/NAME."
        ) from None
    if "@" in (url.host or ""):  # part of a password, which would be shown as the host
        raise SettingsInvalid(f"{_SETTING} has an @ in its password; write it as %40.")
    return url


def _sqlite(url: URL, *, has_options: bool) -> SqlitePlace:
    if has_options:
        raise SettingsInvalid(
            f"{_SETTING} has a ? after the file's name, but SQLite options are not supported; remove it. "
            "For a folder with a ? in its name, set PLANGATE_VAR_DIR instead."
        )
    if url.database in (None, "", ":memory:"):
        raise SettingsInvalid(
            f"{_SETTING} contains no file name, and records in memory would be lost; write sqlite:///PATH."
        )
    return SqlitePlace(Path(url.database).absolute())


def _postgresql(url: URL, hosts: dict[str, str]) -> PostgresqlPlace:
    from psycopg.pq import Conninfo  # noqa: PLC0415  slow to import, and not needed with SQLite

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    for name in url.query:
        if name not in known:
            what = _OF_OTHER_PROGRAMS.get(name, "remove it")
            raise SettingsInvalid(
                f"{_SETTING} has the option {cut(one_line(name), 60)}, which libpq does not support; {what}."
            )
    if hosts:
        hosts["target_session_attrs"] = "read-write"
    # Text is sent as UTF-8, regardless of the URL and the environment.
    ours = {name: value for name, value in hosts.items() if name not in url.query}
    url = url.difference_update_query(["client_encoding"]).set(drivername="postgresql+psycopg")
    return PostgresqlPlace(url, ours)


def _hosts(names: list[str]) -> dict[str, str]:
    """Return several hosts in libpq's format: names and ports, each as a comma-separated list."""
    found = [_HOST.fullmatch(name) for name in names]
    if not all(found):
        raise SettingsInvalid(f"{_SETTING} contains several hosts; write them as HOST:PORT,HOST:PORT.")
    return {
        "host": ",".join(one["name"].strip("[]") for one in found if one),
        "port": ",".join(one["port"] or "5432" for one in found if one),
    }
