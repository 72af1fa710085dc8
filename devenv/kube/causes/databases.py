"""Migrations that fail, and schemas that are not the image's, as migration tools and drivers say it. Pure.

Sources: alembic (runtime/migration.py, script/base.py), SQLAlchemy (exc.py), Django, Flyway, Postgres' appendix A.
"""

import json
import re

from devenv.kube.causes.cause import Cause, logs, short
from devenv.kube.causes.facts import Facts
from devenv.kube.causes.programs import recent
from devenv.kube.causes.words import last_words

RUNS = re.compile(r"Running (?:upgrade|downgrade)\s+(?P<from>\S*)\s*->\s*(?P<to>[^\s,]+)(?:, (?P<said>.*))?")
APPLIES = re.compile(r"^\s*Applying (?P<to>\S+)\.\.\.(?! OK)|Migration (?P<flyway>\S+) failed")
STATEMENT = re.compile(r"^\[SQL:\s*(?P<sql>.*)$")
AHEAD = re.compile(
    r"Can't locate revision identified by '(?P<alembic>[^']+)'"
    r"|schema is at (?P<words>\S+?),? of a (?:later|newer) release"
    r"|Detected applied migration not resolved locally: (?P<flyway>\S+)"
)  # fmt: skip
BEHIND = re.compile(
    r"Target database is not up to date|You have \d+ unapplied migration|(?:schema|database) is (?:at \S+ )?behind"
    r"|pending migrations?\b",
    re.IGNORECASE,
)
LACKS = re.compile(
    r'(?:relation|column|table) "?(?P<what>[\w.]+)"?(?: of relation "\w+")? does not exist'
    r"|no such (?:table|column): (?P<lite>\S+)"
)
SCHEMA = re.compile(r"\b(?:schema|migrations?)\b(?!-ahead)", re.IGNORECASE)
TOLERATED = re.compile(r"nothing to do|works with this one")


def migration(facts: Facts) -> Cause | None:
    """Return the revision that failed, with its statement and what the database said of it."""
    spot, lines = facts.spot, facts.lines
    if spot is None or not spot.ended.get("exitCode"):
        return None
    begun = next((n for n in range(len(lines) - 1, -1, -1) if RUNS.search(lines[n]) or APPLIES.search(lines[n])), None)
    if begun is None:
        return None
    found = RUNS.search(lines[begun]) or APPLIES.search(lines[begun])
    named = found.groupdict() if found else {}
    revision = str(named.get("to") or named.get("flyway"))
    sql = statement(lines[begun:])
    at = f", statement {short(sql, 160)}" if sql else ""
    words = short(last_words(lines[begun + 1 :]), 200)
    why = f": {words}" if words else ""
    return Cause("migration-failed", f"migration {revision} failed{at}{why}", logs(facts.part))


def statement(lines: tuple[str, ...]) -> str:
    """Return the last SQL statement that SQLAlchemy names in an error, which may have several lines."""
    for n in range(len(lines) - 1, -1, -1):
        if m := STATEMENT.search(lines[n].strip()):
            taken = [m["sql"]]
            for line in lines[n + 1 :]:
                if taken[-1].endswith("]"):
                    break
                taken.append(line.strip())
            return " ".join(filter(None, taken)).removesuffix("]").strip()
    return ""


def schema(facts: Facts) -> Cause | None:
    """Return that the database is ahead of the image, or behind it."""
    for line in reversed(recent(facts)):
        if TOLERATED.search(line):
            return None
        if m := AHEAD.search(line):
            at = next(value for value in m.groups() if value).strip("',.")
            text = f"the database is ahead of the image: its schema is at {at}, which the image does not know"
            return Cause("database-ahead", text, "devenv up  # after you use the newer image, or restore a backup")
        if BEHIND.search(line):
            return behind(short(line.strip()))
        if (m := LACKS.search(line)) and facts.part.kind != "Job":
            return behind(f"it has no {m['what'] or m['lite']}")
    return None


def behind(why: str) -> Cause:
    text = f"the database is behind the image, whose migration has not run: {why}"
    return Cause("database-behind", text, "devenv plan  # does it run the migration? then: devenv up")


def told_by_probe(facts: Facts) -> Cause | None:
    """Return that the readiness answer itself names the schema."""
    try:
        value = json.loads(facts.answer)
    except ValueError:
        return None
    named = [text for text in texts(value) if SCHEMA.search(text)]
    if not named:
        return None
    text = f"the database's schema is not the one that the image needs; it answers: {short(facts.answer, 160)}"
    return Cause("database-schema", text, "devenv plan  # does it run the migration? then: devenv up")


def texts(value: object) -> list[str]:
    """Return the texts of the lists in a document: what names faults."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str)] + [
            t for i in value if isinstance(i, dict) for t in texts(i)
        ]
    return []
