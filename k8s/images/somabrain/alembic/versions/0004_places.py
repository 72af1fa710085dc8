"""Memories by their place, so that a link can name one by its coordinate."""

import json
from collections.abc import Sequence
from hashlib import sha256
from struct import pack

import sqlalchemy as sa
from alembic import op
from somabrain.revising import in_pages, index_concurrently

revision = "0004_places"
down_revision = "0003_adaptation"
lives_with = "0001_context_feedback"

PAGE = 1000
Place = tuple[str, int]
FOUND = sa.text(
    "SELECT tenant_id, seq, payload_json FROM memories"
    " WHERE place_digest IS NULL AND (tenant_id, seq) > (:tenant, :seq) ORDER BY tenant_id, seq LIMIT :page"
)
FILLED = sa.text(
    "UPDATE memories SET place_digest = new.digest"
    " FROM unnest(CAST(:tenants AS text[]), CAST(:seqs AS bigint[]), CAST(:digests AS bytea[]))"
    " AS new (tenant, seq, digest)"
    " WHERE memories.tenant_id = new.tenant AND memories.seq = new.seq"
)


def place_digest(place: Sequence[float]) -> bytes:
    """As somabrain.memory had it when this revision was written."""
    x, y, z = (c + 0.0 for c in place)
    return sha256(b"\x00place" + pack("<3d", x, y, z)).digest()


def fill(connection: sa.Connection, after: Place) -> Place | None:
    """Give a page of memories the digest of their coordinate; return where it ends, nothing after the last page."""
    rows = connection.execute(FOUND, {"tenant": after[0], "seq": after[1], "page": PAGE}).all()
    if not rows:
        return None
    digests = [place_digest(json.loads(row.payload_json)["coordinate"]) for row in rows]
    told = {"tenants": [row.tenant_id for row in rows], "seqs": [row.seq for row in rows], "digests": digests}
    connection.execute(FILLED, told)
    return rows[-1].tenant_id, rows[-1].seq


def upgrade() -> None:
    # Null where a pod that does not know this revision yet stores a memory.
    op.add_column("memories", sa.Column("place_digest", sa.LargeBinary), if_not_exists=True)
    in_pages(fill, ("", 0))
    index_concurrently("memories_place", "memories", ["tenant_id", "place_digest"])


def downgrade() -> None:
    op.drop_index("memories_place", "memories")
    op.drop_column("memories", "place_digest")
