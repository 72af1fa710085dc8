"""Memories with their vectors, and the links between them."""

import sqlalchemy as sa
from alembic import op

revision = "0002_memories"
down_revision = "0001_context_feedback"
lives_with = "0001_context_feedback"

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("epoch", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("memories", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("writes_on", sa.Date, nullable=False, server_default=sa.text("(now() at time zone 'utc')::date")),
        sa.Column("writes", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "memories",
        sa.Column("tenant_id", sa.String(128), sa.ForeignKey("tenants.tenant_id"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("universe", sa.Text, nullable=False),
        sa.Column("task_digest", sa.LargeBinary, nullable=False),
        sa.Column("idempotency_digest", sa.LargeBinary),
        sa.Column("payload_json", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.UniqueConstraint("tenant_id", "idempotency_digest", name="memories_idempotency_key"),
    )
    op.create_index("memories_task", "memories", ["tenant_id", "task_digest", "at", "seq"])
    # Vectors are dense: compressing them would only cost time.
    op.execute("ALTER TABLE memories ALTER COLUMN vector SET STORAGE EXTERNAL")
    op.create_table(
        "links",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("universe", sa.Text, primary_key=True),
        sa.Column("from_digest", sa.LargeBinary, primary_key=True),
        sa.Column("to_digest", sa.LargeBinary, primary_key=True),
        sa.Column("type", sa.String(64), primary_key=True),
        sa.Column("weight", sa.Double, nullable=False),
        sa.Column("from_key", sa.Text, nullable=False),
        sa.Column("to_key", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
    )


def downgrade() -> None:
    for table in ("links", "memories", "tenants"):
        op.drop_table(table)
