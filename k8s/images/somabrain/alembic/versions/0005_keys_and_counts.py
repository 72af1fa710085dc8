"""Keys of feedbacks, counts of deleted memories, and the indexes of queries that read a whole table without one."""

import sqlalchemy as sa
from alembic import op
from somabrain.revising import index_concurrently

revision = "0005_keys_and_counts"
down_revision = "0004_places"
lives_with = "0001_context_feedback"


def upgrade() -> None:
    # What is added is null or has its default: images of before go on. An upgrade that was cut off may run again.
    op.add_column("feedback_events", sa.Column("idempotency_digest", sa.LargeBinary), if_not_exists=True)
    op.add_column(
        "tenants", sa.Column("deleted", sa.BigInteger, nullable=False, server_default="0"), if_not_exists=True
    )
    index_concurrently("feedback_idempotency_key", "feedback_events", ["tenant_id", "idempotency_digest"], unique=True)
    index_concurrently("links_ends", "links", ["tenant_id", "from_digest", "to_digest"])
    index_concurrently("token_usage_tenant", "token_usage", ["tenant_id"])
    newest = [sa.text("last_feedback_at DESC NULLS LAST"), "tenant_id"]
    index_concurrently("adaptation_state_newest", "adaptation_state", newest)


def downgrade() -> None:
    op.drop_index("adaptation_state_newest", "adaptation_state")
    op.drop_index("token_usage_tenant", "token_usage")
    op.drop_index("links_ends", "links")
    op.drop_index("feedback_idempotency_key", "feedback_events")
    op.drop_column("tenants", "deleted")
    op.drop_column("feedback_events", "idempotency_digest")
