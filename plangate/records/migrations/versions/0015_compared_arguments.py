"""Store which arguments a match key compares; for older plans, pages do not list them."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("likenesses", sa.Column("same", sa.Text))
