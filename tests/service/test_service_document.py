"""docs/service.md tells the truth: every setting is there, with its default."""

import re
from pathlib import Path

from somabrain import memory, settings, shares
from somabrain.found import LIST_BYTES
from somabrain.settings import load

DOCUMENT = (Path(__file__).parents[2] / "docs/service.md").read_text()
ROWS = dict(re.findall(r"^\| `(SOMA\w+)` \| `?([^|`]+)`? \|", DOCUMENT, re.MULTILINE))
NEEDED = {"SOMABRAIN_POSTGRES_DSN": "postgresql://u@h/d", "SOMABRAIN_REDIS_URL": "redis://h/0"}


def test_every_setting_is_told() -> None:
    read = set(re.findall(r'read\.\w+\(\s*"(SOMA\w+)"', Path(settings.__file__).read_text()))
    assert set(ROWS) == read


def test_every_default_is_told() -> None:
    told = {name: default.strip() for name, default in ROWS.items()}
    assert load({**{name: "" if value == "none" else value for name, value in told.items()}, **NEEDED}) == load(NEEDED)
    assert {name for name in told if told[name] == "none"} - set(NEEDED) == {
        *("SOMABRAIN_SANDBOX_TENANTS", "SOMABRAIN_API_TOKEN", "SOMABRAIN_ADMIN_TOKEN", "SOMABRAIN_OPA_URL"),
    }


def test_the_limits_are_those_of_the_code() -> None:
    limits = DOCUMENT.partition("## Limits")[2].partition("## Deletion")[0]
    content, payload, least = memory.FIELD_BYTES["content"], memory.PAYLOAD_BYTES, min(memory.FIELD_BYTES.values())
    for size in (content, payload, least):
        assert f"{size // 1024} KiB" in limits
    assert f"{LIST_BYTES >> 20} MiB" in limits
    assert f"{memory.TASK_LENGTH} characters" in limits
    assert f"{shares.WAITING} more wait {shares.PATIENCE_S:g} s" in limits
