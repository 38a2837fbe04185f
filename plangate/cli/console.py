"""The resources of a command: settings, screen, keys, and connections."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from plangate.cli.environment import access_of, opened_records, settings_for_people
from plangate.cli.key_chain import KeyChain
from plangate.cli.screen import Screen, open_screen
from plangate.client import Client
from plangate.presentation.deciding_page import TemporalAccess
from plangate.records.database import Database
from plangate.settings import Settings, operating_system_user
from plangate.temporal.connection import connect

NO_SERVER: Final = "records (the Temporal server does not answer)"
"""The source of a status that was read without a Temporal server."""


@dataclass(frozen=True, slots=True)
class Console:
    """The environment of a command.

    Attributes:
        settings: the settings of this process.
        screen: the screen that the command prints to, and whether it can ask.
        keys: the private keys that sign decisions.
    """

    settings: Settings
    screen: Screen
    keys: KeyChain

    @property
    def user(self) -> str:
        """The name of the operating system's user: the default requester."""
        return operating_system_user()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Session"]:
        """Connect to the Temporal server and open the records for the duration of the block.

        Raises:
            OperatorError: the server cannot be reached, or a setting cannot be used.
        """
        with self.records() as database:
            temporal = await connect(self.settings)
            access = access_of(self.settings, temporal.namespace)
            queue, unpause = self.settings.task_queue, access.unpause_command
            client = Client(temporal, queue, database, unpause_command=unpause)
            yield Session(self, database, client, access)

    @contextmanager
    def records(self) -> Iterator[Database]:
        """Open the records for the duration of the block.

        Raises:
            SettingsInvalid: their address cannot be used.
        """
        with opened_records(self.settings) as database:
            yield database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open the records and read in one transaction.

        Raises:
            SettingsInvalid: the address of the records cannot be used.
        """
        with self.records() as database, database.read() as connection:
            yield connection


@dataclass(frozen=True, slots=True)
class Session:
    """A console that is connected to a Temporal server.

    Attributes:
        database: the records.
        client: reads runs and sends decisions.
        access: other ways to see and decide a run.
    """

    console: Console
    database: Database
    client: Client
    access: TemporalAccess

    @property
    def screen(self) -> Screen:
        """The screen that the command prints to."""
        return self.console.screen


def open_console(*, as_json: bool = False) -> Console:
    """Return the console of this process.

    Raises:
        OutputClosed: the standard output is closed.
        SettingsInvalid: a setting cannot be used.
    """
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    return Console(settings, screen, KeyChain(settings, screen))
