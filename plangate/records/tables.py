"""The tables of the records. Their history is in ``migrations/``; what stands here is the newest form."""

from sqlalchemy import Column, DateTime, ForeignKey, Integer, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

runs = Table(
    "runs",
    metadata,
    Column("workflow_id", String(1000), primary_key=True),
    # The first run id of the chain of Temporal runs that owns this id; a second start of the id has another.
    Column("chain_id", String(64), nullable=False),
    Column("requester", String(255), nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True), index=True),
    Column("entry_count", Integer, nullable=False),
    Column("head_hash", String(64), nullable=False),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("workflow_id", String(1000), ForeignKey("runs.workflow_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", String(255), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
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
    # Who holds the claim: one attempt of one activity. Only the holder may settle it.
    Column("holder", String(255), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("receipt", Text),
)
