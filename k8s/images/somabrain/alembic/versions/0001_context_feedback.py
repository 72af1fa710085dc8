"""The rows of feedback and of token usage."""

import sqlalchemy as sa
from alembic import op

revision = "0001_context_feedback"
down_revision = None
lives_with = "0001_context_feedback"

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "feedback_events",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("session_id", sa.String(128), nullable=False, index=True),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("response_text", sa.Text, nullable=False),
        sa.Column("utility", sa.Double, nullable=False),
        sa.Column("reward", sa.Double),
        sa.Column("metadata_json", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("tenant_id", sa.String(128), index=True),
    )
    op.create_table(
        "token_usage",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("session_id", sa.String(128), nullable=False, index=True),
        sa.Column("tenant_id", sa.String(128)),
        sa.Column("tokens", sa.Double, nullable=False),
        sa.Column("model", sa.String(128)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
    )


def downgrade() -> None:
    op.drop_table("token_usage")
    op.drop_table("feedback_events")
