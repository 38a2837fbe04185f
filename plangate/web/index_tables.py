"""The tables of the run index: see `plangate.web.run_index`."""

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, String, Table, Text

from plangate.records.tables import Moment

metadata = MetaData()

lines = Table(
    "lines",
    metadata,
    Column("workflow_id", String, primary_key=True),
    # The head hash of the trail that the row was computed from.
    Column("head_hash", String, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("state", String, nullable=False),
    Column("requester", String, nullable=False),
    Column("requester_key", String, nullable=False),
    Column("requested_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("deadline", Moment),
    # When the approved plan stops waiting for its next step, computed together with the row.
    Column("waits_until", Moment),
    # The deadline, or a day in the far future, because an index sorts only by values that are always present.
    Column("soonest", Moment, nullable=False),
    # The preview of the held step, or else of the first step.
    Column("preview", Text, nullable=False),
    Column("more", Integer, nullable=False),
    # The number of the step at which the run is held; 0 if it is not.
    Column("held_step", Integer, nullable=False),
    # The numbers of the steps that an executed run skipped, and of those that were reversed, as JSON.
    Column("skipped", Text, nullable=False),
    Column("reversed", Text, nullable=False),
    # The tools of the steps in order, each between spaces.
    Column("tools", Text, nullable=False),
    Column("authors", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("represented", Text, nullable=False),
    Column("needs", Integer),
    # The other roles that may approve later, with their times, as JSON.
    Column("reliefs", Text, nullable=False),
    # All searchable text, case-folded. It is the last column because lists do not read it.
    Column("text", Text, nullable=False),
)
# The index includes the state and the needed decision, so that a list of a few runs does not read all the
# others.
Index("ix_lines_open", lines.c.is_open, lines.c.soonest, lines.c.workflow_id, lines.c.state, lines.c.needs)
Index("ix_lines_closed", lines.c.is_open, lines.c.closed_at)
Index("ix_lines_tools", lines.c.tools, lines.c.state, lines.c.closed_at)

# The needed decisions, as JSON: the requirement, and the missing approvals.
needs = Table(
    "needs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("text", Text, nullable=False, unique=True),
)

# The recipients and hosts that a run has reached.
contacts = Table(
    "contacts",
    metadata,
    Column("contact", String, primary_key=True),
    Column("workflow_id", String, primary_key=True),
)
Index("ix_contacts_run", contacts.c.workflow_id)

# One row: the installation of the index, and the newest checkpoint whose runs are in it.
progress = Table(
    "progress",
    metadata,
    Column("installation", String, primary_key=True),
    Column("checkpoint", Integer),
)
