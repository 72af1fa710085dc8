"""What a tenant has learned: its weights, the weights before each step, its neuromodulators."""

import sqlalchemy as sa
from alembic import op

revision = "0003_adaptation"
down_revision = "0002_memories"
lives_with = "0001_context_feedback"

WEIGHTS = ("alpha", "beta", "gamma", "tau", "lambda_", "mu", "nu")
NEUROMODULATORS = ("dopamine", "serotonin", "noradrenaline", "acetylcholine")


def numbers(names: tuple[str, ...]) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double, nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "adaptation_state",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        *numbers(WEIGHTS),
        sa.Column("history_len", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("learning_rate", sa.Double, nullable=False),
        sa.Column("base_rate", sa.Double, nullable=False),
        sa.Column("overrides_json", sa.Text),
        sa.Column("last_feedback_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "adaptation_snapshots",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        *numbers(WEIGHTS),
        sa.Column("learning_rate", sa.Double, nullable=False),
    )
    op.create_table(
        "neuromodulators",
        sa.Column("tenant_id", sa.String(128), primary_key=True),
        *numbers(NEUROMODULATORS),
    )


def downgrade() -> None:
    for table in ("neuromodulators", "adaptation_snapshots", "adaptation_state"):
        op.drop_table(table)
