"""Define the current tables of the records; ``migrations/`` contains their earlier versions.

CONTRIBUTING.md ("Changing the records") describes how to change them.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
    select,
)


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC: SQLite stores no zone, and PostgreSQL returns times in its configured zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert an aware time to UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Mark a time as UTC, or convert it to UTC."""
        del dialect
        if value is None or value.tzinfo is None:
            return value and value.replace(tzinfo=UTC)
        return value.astimezone(UTC)


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class MomentOfNotice(Moment):
    """A time in the tables of notices. An invalid value, such as an edited one, is read as `EPOCH`.

    On the trail such a time is reported as damage; here it must not stop notices to other people.
    """

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """Return a function that reads a stored time, and replaces an invalid one with `EPOCH`."""
        read = super().result_processor(dialect, coltype)

        def read_any(value: Any) -> datetime | None:
            try:
                found = read(value) if read is not None else value
            except (TypeError, ValueError, OverflowError):
                return EPOCH
            return found if found is None or EPOCH <= found < _LATEST else EPOCH

        return read_any


_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)  # time spans can still be added to it

# The time according to the database's clock.
NOW: Final = select(func.now(type_=Moment))

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

# The running workers, with their rules and tools; not part of the trail.
workers = Table(
    "workers",
    metadata,
    Column("worker", String(255), primary_key=True),
    Column("namespace", String(255), nullable=False),
    Column("task_queue", String(255), nullable=False),
    Column("policy", String(64), nullable=False),
    Column("people", String(64), nullable=False),
    Column("tools", String(64), nullable=False),
    Column("web", String(64)),
    Column("seen_at", Moment, nullable=False),
    Column("drafts", Boolean),
)

# Each policy and each list of people that a worker has used, under the SHA-256 of its text.
rule_texts = Table(
    "rule_texts",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("text", Text, nullable=False),
)

# The files that steps send, each under the SHA-256 of its bytes.
attachments = Table(
    "attachments",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# One row: the installation of these records. It is created with them and never changes.
installation = Table(
    "installation",
    metadata,
    Column("id", String(32), primary_key=True),
)

runs = Table(
    "runs",
    metadata,
    Column("workflow_id", String(1000), primary_key=True),
    # The first run id of the chain of Temporal runs to which this id belongs; another start of the id has
    # another one.
    Column("chain_id", String(64), nullable=False),
    Column("requester", String(255), nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("closed_at", Moment, index=True),
    Column("entry_count", Integer, nullable=False),
    Column("head_hash", String(64), nullable=False),
    # The number of its entries that a checkpoint seals.
    Column("sealed_count", Integer, nullable=False, server_default="0"),
    # The run's state and deadline according to its trail, so that lists need not read every trail.
    # None for runs without a new entry since these columns were added.
    Column("state", String(16)),
    Column("deadline", Moment),
    # 1 if one of its plans has a reservation in rolling totals.
    Column("reserves", Integer, nullable=False, server_default="0"),
)
# The runs that need a decision, earliest deadline first.
Index("ix_runs_state_deadline", runs.c.state, runs.c.deadline)
# The runs that have not ended, in order.
IS_OPEN = runs.c.closed_at.is_(None)
Index("ix_runs_open", runs.c.workflow_id, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
# The runs that the next checkpoint must seal: always few rows, however many runs there are.
UNSEALED = runs.c.entry_count > runs.c.sealed_count
Index("ix_runs_unsealed", runs.c.workflow_id, sqlite_where=UNSEALED, postgresql_where=UNSEALED)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("workflow_id", String(1000), ForeignKey("runs.workflow_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", String(255), nullable=False),
    Column("at", Moment, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("event", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("workflow_id", "key"),
)

effects = Table(
    "effects",
    metadata,
    Column("idempotency_key", String(1100), primary_key=True),
    Column("workflow_id", String(1000), ForeignKey("runs.workflow_id"), nullable=False, index=True),
    Column("fingerprint", String(64), nullable=False),
    Column("step", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    # The holder of the claim: one attempt of one activity. Only the holder may record the result.
    Column("holder", String(255), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("receipt", Text),
)

# The amounts that plan steps add to rolling totals: see `plangate.records.reservations`.
reservations = Table(
    "reservations",
    metadata,
    Column("workflow_id", String(1000), ForeignKey("runs.workflow_id"), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("argument", String(255), primary_key=True),
    # The sum that it belongs to: the id of a `plangate.domain.policies.rolling_totals.Scope`.
    Column("scope", String(64), primary_key=True),
    Column("tool", String(255), nullable=False),
    # A decimal; None if it is not known before the step runs.
    Column("amount", String(80)),
    Column("state", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_reservations_tool", "tool", "argument", "scope", "at"),
)

# The steps of the newest plan of each run, to find duplicates in other runs: see
# `plangate.records.duplicates`.
match_keys = Table(
    "likenesses",
    metadata,
    Column("workflow_id", String(1000), ForeignKey("runs.workflow_id"), primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    # The names of the compared arguments, one on each line; empty if all are compared, null if unknown.
    Column("same", Text),
    # When the plan was drafted.
    Column("at", Moment, nullable=False),
    # 1 if not everyone in the list of people may see the run.
    Column("is_hidden", Integer, nullable=False),
    Index("ix_likenesses_digest", "digest", "at"),
)

# One row: the last entry of the stop trail that changed the active stops. Every claim of a step reads
# it.
stops = Table(
    "stops",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)

# Signed decisions that were used, by the signer's key and the id that the signer chose.
tokens = Table(
    "tokens",
    metadata,
    Column("token_id", String(200), primary_key=True),
    Column("workflow_id", String(1000), ForeignKey("runs.workflow_id"), nullable=False, index=True),
    Column("arrival_key", String(255), nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
    Column("public_key", String(64), nullable=False),
)

# The seals of each checkpoint: the number of an entry, and its hash.
seals = Table(
    "seals",
    metadata,
    Column("workflow_id", String(1000), ForeignKey("runs.workflow_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("checkpoint", Integer, ForeignKey("checkpoints.number"), nullable=False, index=True),
)

# The notices to each person about each run: see `plangate.records.notices`.
notices = Table(
    "notices",
    metadata,
    Column("id", Integer, primary_key=True),
    # Empty for a problem of the installation.
    Column("workflow_id", String(1000), nullable=False),
    Column("person", String(1000), nullable=False),
    Column("event", String(255), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("facts", Text, nullable=False),
    Column("entered_at", MomentOfNotice, nullable=False),
    # When it may be removed; None while its run is open.
    Column("keep_until", MomentOfNotice, index=True),
    UniqueConstraint("workflow_id", "person", "event"),
)

# The deliveries of a notice, one row for each address of the person.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("notice", Integer, ForeignKey("notices.id"), nullable=False, index=True),
    Column("person", String(1000), nullable=False),
    # As in the list of people, with the names of secrets instead of their values. Empty without an address.
    Column("address", String(2000), nullable=False),
    Column("state", String(16), nullable=False),
    Column("due_at", MomentOfNotice, nullable=False),
    # The earliest time of the next attempt.
    Column("next_at", MomentOfNotice, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tried_at", MomentOfNotice),
    Column("ended_at", MomentOfNotice),
    # 1 if an earlier attempt without a recorded result may have been delivered.
    Column("is_repeat", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    # The same for all deliveries of one message; empty before the first attempt.
    Column("message_id", String(255), nullable=False),
    Index("ix_deliveries_due", "state", "next_at"),
    Index("ix_deliveries_due_at", "state", "due_at"),
    Index("ix_deliveries_address", "address", "state", "due_at"),
    Index("ix_deliveries_ended", "person", "ended_at"),
)

# One row: the process that sends notices now, and how far the trails have been followed.
notifier = Table(
    "notifier",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("holder", String(255), nullable=False),
    Column("held_until", MomentOfNotice, nullable=False),
    # The newest checkpoint whose runs have been read; None before the first.
    Column("checkpoint", Integer),
    # The list of people, policy and time that were used to compute the notices, and the last open run whose
    # notices were computed again after these changed; None if all were.
    Column("audience", String(64), nullable=False),
    Column("swept_to", String(1000)),
)
