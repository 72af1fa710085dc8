"""What the next cluster has from its first moment on: which volume it may use, and when another is worth making."""

import json
from pathlib import Path

import pytest
import yaml

from devenv.cluster import kind, preload
from devenv.cluster.preload import Preload

MADE = Preload("devenv-preload-x-1", "devenv.local/node:a", ("sha256:1", "sha256:2"), 5)


@pytest.mark.parametrize(
    ("made", "node", "bytes_"),
    [(MADE, MADE.node, 4), (MADE, "devenv.local/node:b", 7), (None, MADE.node, 7)],
)
def test_what_a_new_node_would_be_sent_are_the_layers_that_it_does_not_have(
    made: Preload | None, node: str, bytes_: int
) -> None:
    assert preload.lacking(made, node, {"sha256:1": 1, "sha256:2": 2, "sha256:3": 4}) == bytes_


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"volume": "x"}', '{"volume": 1, "node": 2, "layers": 3, "bytes": 4}']
)
def test_a_record_that_cannot_be_read_is_none(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    record = preload.record("x")
    record.parent.mkdir(parents=True)
    record.write_text(text)
    assert preload.known("x") is None
    record.write_text(json.dumps(vars(MADE)))
    assert preload.known("x") == MADE
    preload.forget("x")
    preload.forget("x")
    assert preload.known("x") is None


def test_a_node_sees_the_volume_and_cannot_write_to_it() -> None:
    plain, with_volume = kind.configuration("", 0), yaml.safe_load(kind.configuration("/volumes/x/_data", 0))
    [mount] = with_volume["nodes"][0].pop("extraMounts")
    assert mount == {"hostPath": "/volumes/x/_data", "containerPath": "/kind/preload", "readOnly": True}
    assert with_volume == yaml.safe_load(plain)
