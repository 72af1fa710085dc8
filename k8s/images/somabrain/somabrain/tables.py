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
)

# One row per tenant. A writer counts up `memories` first and so holds the row until it commits: memories become
# visible in the order of their numbers, and whoever has seen number n has seen every number below.
tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("epoch", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("memories", BigInteger, nullable=False, server_default="0"),
    Column("writes_on", Date, nullable=False, server_default=text("(now() at time zone 'utc')::date")),
    Column("writes", BigInteger, nullable=False, server_default="0"),
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
