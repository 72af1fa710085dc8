"""Names that carry their content: equal inputs give equal names."""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any


def digest(fields: Iterable[bytes]) -> str:
    """Return 16 hex digits for a sequence of fields. Lengths frame them: (a, bc) and (ab, c) stay apart."""
    hashed = sha256()
    for field in fields:
        hashed.update(len(field).to_bytes(8, "big") + field)
    return hashed.hexdigest()[:16]


def of_value(value: Any) -> str:
    """Return the digest of a JSON value; the order of keys does not matter."""
    return digest([json.dumps(value, sort_keys=True, separators=(",", ":")).encode()])


def chain_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """Return, for the layers of an image, the name of each prefix of the stack of layers.

    Source: OCI image specification, config.md, "Layer ChainID". containerd names its snapshots so.
    """
    chain: list[str] = []
    for diff_id in diff_ids:
        above = f"{chain[-1]} {diff_id}".encode() if chain else b""
        chain.append(f"sha256:{sha256(above).hexdigest()}" if chain else diff_id)
    return tuple(chain)
