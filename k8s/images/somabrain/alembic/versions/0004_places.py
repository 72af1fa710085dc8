"""Memories by their place, so that a link can name one by its coordinate."""

import json
from collections.abc import Sequence
from hashlib import sha256
from struct import pack

import sqlalchemy as sa
from alembic import op

revision = "0004_places"
down_revision = "0003_adaptation"

PAGE = 1000
memories = sa.table(
    "memories",
    sa.column("tenant_id", sa.String),
    sa.column("seq", sa.BigInteger),
    sa.column("payload_json", sa.Text),
    sa.column("place_digest", sa.LargeBinary),
)


def place_digest(place: Sequence[float]) -> bytes:
    """As somabrain.memory had it when this revision was written."""
    x, y, z = (c + 0.0 for c in place)
    return sha256(b"\x00place" + pack("<3d", x, y, z)).digest()


def fill(connection: sa.Connection) -> None:
    """Give every memory without one the digest of its coordinate, page by page."""
    c = memories.c
    here = sa.tuple_(c.tenant_id, c.seq)
    after: tuple[str, int] = ("", 0)
    while rows := connection.execute(
        sa.select(c.tenant_id, c.seq, c.payload_json)
        .where(c.place_digest.is_(None), here > after)
        .order_by(c.tenant_id, c.seq)
        .limit(PAGE)
    ).all():
        connection.execute(
            sa.update(memories)
            .where(c.tenant_id == sa.bindparam("tenant"), c.seq == sa.bindparam("number"))
            .values(place_digest=sa.bindparam("digest")),
            [
                {
                    "tenant": row.tenant_id,
                    "number": row.seq,
                    "digest": place_digest(json.loads(row.payload_json)["coordinate"]),
                }
                for row in rows
            ],
        )
        after = (rows[-1].tenant_id, rows[-1].seq)


def upgrade() -> None:
    # Null where a pod that does not know this revision yet stores a memory.
    op.add_column("memories", sa.Column("place_digest", sa.LargeBinary))
    fill(op.get_bind())
    op.create_index("memories_place", "memories", ["tenant_id", "place_digest"])


def downgrade() -> None:
    op.drop_index("memories_place", "memories")
    op.drop_column("memories", "place_digest")
