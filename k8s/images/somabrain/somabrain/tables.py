"""The tables as the migrations make them (contract 7). Only the migration Job creates them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

metadata = MetaData()
NOW = text("clock_timestamp()")

# One row, beside Alembic's own: the oldest revision whose image works on this schema (somabrain.schema).
schema_floor = Table("schema_floor", metadata, Column("oldest_revision", String(128), primary_key=True))

feedback_events = Table(
    "feedback_events",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("session_id", String(128), nullable=False, index=True),
    Column("query", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("response_text", Text, nullable=False),
    Column("utility", Double, nullable=False),
    Column("reward", Double),
    Column("metadata_json", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("tenant_id", String(128), index=True),
    Column("idempotency_digest", LargeBinary),
    Index("feedback_idempotency_key", "tenant_id", "idempotency_digest", unique=True),
)

token_usage = Table(
    "token_usage",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("session_id", String(128), nullable=False, index=True),
    Column("tenant_id", String(128)),
    Column("tokens", Double, nullable=False),
    Column("model", String(128)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Index("token_usage_tenant", "tenant_id"),
)

# One row per tenant. A writer counts up `memories` first and so holds the row until it commits: memories become
# visible in the order of their numbers, and whoever has seen number n has seen every number below. A deleted memory
# leaves its number, which no other gets, and is counted in `deleted`.
tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("epoch", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("memories", BigInteger, nullable=False, server_default="0"),
    Column("writes_on", Date, nullable=False, server_default=text("(now() at time zone 'utc')::date")),
    Column("writes", BigInteger, nullable=False, server_default="0"),
    Column("deleted", BigInteger, nullable=False, server_default="0"),
)

memories = Table(
    "memories",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("at", Double, nullable=False),
    Column("universe", Text, nullable=False),
    Column("task_digest", LargeBinary, nullable=False),
    Column("idempotency_digest", LargeBinary),
    Column("payload_json", Text, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("place_digest", LargeBinary),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    UniqueConstraint("tenant_id", "idempotency_digest", name="memories_idempotency_key"),
    Index("memories_task", "tenant_id", "task_digest", "at", "seq"),
    Index("memories_place", "tenant_id", "place_digest"),
)

# An end of a link is a key (the digest of a task) or a coordinate (the digest of a place).
links = Table(
    "links",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("universe", Text, primary_key=True),
    Column("from_digest", LargeBinary, primary_key=True),
    Column("to_digest", LargeBinary, primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("weight", Double, nullable=False),
    Column("from_key", Text, nullable=False),
    Column("to_key", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Index("links_ends", "tenant_id", "from_digest", "to_digest"),
)

adaptation_state = Table(
    "adaptation_state",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    *(Column(name, Double, nullable=False) for name in ("alpha", "beta", "gamma", "tau", "lambda_", "mu", "nu")),
    Column("history_len", BigInteger, nullable=False, server_default="0"),
    Column("learning_rate", Double, nullable=False),
    Column("base_rate", Double, nullable=False),
    Column("overrides_json", Text),
    Column("last_feedback_at", DateTime(timezone=True)),
    Index("adaptation_state_newest", text("last_feedback_at DESC NULLS LAST"), "tenant_id"),
)

adaptation_snapshots = Table(
    "adaptation_snapshots",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    *(Column(name, Double, nullable=False) for name in ("alpha", "beta", "gamma", "tau", "lambda_", "mu", "nu")),
    Column("learning_rate", Double, nullable=False),
)

neuromodulators = Table(
    "neuromodulators",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    *(Column(name, Double, nullable=False) for name in ("dopamine", "serotonin", "noradrenaline", "acetylcholine")),
)
