"""The tables of the web server's own data: see `plangate.web.database`."""

from typing import Final

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

METADATA: Final = MetaData()

attempts = Table(
    "attempts",
    METADATA,
    Column("what", String, nullable=False),
    Column("at", Integer, nullable=False),
    Index("attempts_what", "what", "at"),
)

confirmations = Table(
    "confirmations",
    METADATA,
    Column("id_hash", String, primary_key=True),
    Column("session", String, nullable=False),
    Column("person", String, nullable=False),
    Column("workflow_id", String, nullable=False),
    Column("decision", Text, nullable=False),
    Column("claims", Text, nullable=False),
    Column("made_at", Integer, nullable=False),  # seconds since 1970, like all times here
    Column("sent_at", Integer),
    Column("answer", Text),
)

sessions = Table(
    "sessions",
    METADATA,
    Column("token_hash", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("assurance", String, nullable=False),
    Column("form_token", String, nullable=False),
    Column("began_at", Integer, nullable=False),  # seconds since 1970, like all times here
    Column("used_at", Integer, nullable=False),
)

logins = Table(
    "begun_logins",
    METADATA,
    Column("state_hash", String, primary_key=True),
    Column("browser_hash", String, nullable=False),
    Column("data", String, nullable=False),  # JSON: the nonce and the verifier, useless without the code
    Column("next_page", String, nullable=False),
    Column("began_at", Integer, nullable=False),
)

passkeys = Table(
    "proposed_keys",
    METADATA,
    Column("key_id", String, primary_key=True),
    Column("person", String, nullable=False, index=True),  # normalized by `identity`
    Column("name", String, nullable=False),
    Column("public", String, nullable=False),
    Column("credential_id", String, nullable=False),
    Column("created_at", Integer, nullable=False),  # seconds since 1970, like all times here
    Column("used_at", Integer),
)

invitations = Table(
    "invitations",
    METADATA,
    Column("token_hash", String, primary_key=True),
    Column("person", String, nullable=False),
    Column("ends_at", Integer, nullable=False),
)

opened = Table(
    "opened",
    METADATA,
    Column("session", String, primary_key=True),
    Column("fingerprint", String, primary_key=True),
    Column("workflow_id", String, nullable=False),
    Column("at", Integer, nullable=False),  # seconds since 1970
)

files_taken = Table(
    "files_taken",
    METADATA,
    Column("session", String, primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("at", Integer, nullable=False),  # seconds since 1970
)

views = Table(
    "views",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("person", String, nullable=False),  # normalized by `identity`
    Column("workflow_id", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("at", Float, nullable=False, index=True),  # seconds since 1970
    Column("folds", Text, nullable=False),  # the names of the page's collapsed sections, as JSON
    Column("opened", Text, nullable=False),  # the sections that were opened
    UniqueConstraint("person", "workflow_id", "fingerprint"),
)
