"""The API's own role in Postgres: it reads and writes rows, and that is all (somabrain.roles)."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from tests.service.live.brain import Brain, asked
from tests.service.live.test_revisions import alembic, insert, later
from tests.service.live.test_stores import FEEDBACK, of_the_test, settled
from tests.service.programs import run

PASSWORD = "of the/API's@own%role"  # noqa: S105
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"


@dataclass(frozen=True)
class Database:
    """A database of the test's own, and the addresses of it for its owner and for a role that nobody else has."""

    owner: str
    role: str

    @property
    def app(self) -> str:
        return self.address(self.role, PASSWORD)

    def address(self, role: str, password: str) -> str:
        parts = urlsplit(self.owner)
        where = f"{quote(role)}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(netloc=where))

    def migrate(self, **settings: str) -> str:
        given = {"SOMABRAIN_POSTGRES_DSN": self.owner, "SOMABRAIN_APP_DSN": self.app, **settings}
        done = run("migrate", **given)
        assert done.returncode == 0, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout

    def refused(self, **settings: str) -> str:
        done = run("migrate", **{"SOMABRAIN_POSTGRES_DSN": self.owner, "SOMABRAIN_APP_DSN": self.app, **settings})
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return done.stderr.splitlines()[-1]


@pytest.fixture
def database(brain: Brain) -> Iterator[Database]:
    name, role, sql = f"roles_{uuid4().hex}", f"app_{uuid4().hex}", brain.service.sql
    sql.execute(f'CREATE DATABASE "{name}"')
    yield Database(urlunsplit(urlsplit(os.environ["SOMABRAIN_POSTGRES_DSN"])._replace(path=f"/{name}")), role)
    sql.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    sql.execute(f'DROP ROLE IF EXISTS "{role}"')


@pytest.fixture
def poor(brain: Brain, database: Database) -> Iterator[Database]:
    """The database as a provider gives it: its owner is no superuser, and may make no role."""
    role, sql = f"owner_{uuid4().hex}", brain.service.sql
    name = urlsplit(database.owner).path[1:]
    sql.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'of-the-owner'")
    sql.execute(f'ALTER DATABASE "{name}" OWNER TO "{role}"')
    yield Database(database.address(role, "of-the-owner"), database.role)
    sql.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    sql.execute(f'CREATE DATABASE "{name}"')
    sql.execute(f'DROP ROLE "{role}"')


def statements(role: str) -> list[str]:
    """What the API never does, and whoever found a way to have it run SQL of his own must not do."""
    return [
        "CREATE TABLE intruder (id integer)",
        "CREATE FUNCTION intruder() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA intruder",
        "CREATE EXTENSION pg_trgm",
        "CREATE ROLE intruder",
        f'ALTER ROLE "{role}" CREATEROLE',
        "DROP TABLE memories",
        "ALTER TABLE memories ADD COLUMN intruder text",
        "CREATE INDEX intruder ON memories (at)",
        "TRUNCATE memories CASCADE",
        "DELETE FROM alembic_version",
        "UPDATE schema_floor SET oldest_revision = 'none'",
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY memories TO PROGRAM 'true'",
        "COPY memories FROM '/etc/passwd'",
        "SET ROLE postgres",
    ]


def test_the_role_reads_and_writes_rows_and_may_do_nothing_else(brain: Brain, database: Database) -> None:
    said = database.migrate()
    assert f"the role {database.role} may read and write rows, and nothing else\n" in said
    powers = (
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = %s"
    )
    assert brain.service.rows(powers, database.role) == [(False,) * 5]
    with psycopg.connect(database.app, autocommit=True) as app:
        assert app.execute("SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole").fetchone() == (0,)
        for statement in statements(database.role):
            with pytest.raises(psycopg.Error) as refused:
                app.execute(statement)
            # A role that is not there is another's error, and 'postgres' need not be there.
            assert isinstance(refused.value, InsufficientPrivilege) or statement == "SET ROLE postgres", statement
        for (table,) in app.execute(TABLES).fetchall():
            app.execute(f'SELECT * FROM "{table}"')  # noqa: S608


def test_the_service_does_all_its_work_as_that_role(database: Database) -> None:
    database.migrate()
    stores = {"SOMABRAIN_POSTGRES_DSN": database.app, "SOMABRAIN_REDIS_URL": os.environ["SOMABRAIN_REDIS_URL"]}
    with of_the_test(**stores, SOMABRAIN_MODE="dev") as api:
        assert settled(api).status_code == 200
        assert api.get("/readyz").json() == {"ok": True, "alerts": []}
        assert asked(api, "POST", "/remember", json={"task": "a", "content": "kept"}).status_code == 200
        assert asked(api, "POST", "/act", json={"task": "kept"}).status_code == 200
        link = {"from_key": "a", "to_key": "b", "type": "related"}
        assert asked(api, "POST", "/link", json=link).status_code == 200
        assert asked(api, "POST", "/recall", json={"query": "kept"}).json()["memory"]
        found = asked(api, "POST", "/context/evaluate", json={"session_id": "s", "query": "kept"}).json()
        assert asked(api, "POST", "/context/feedback", json=FEEDBACK).json()["accepted"] is True
        assert asked(api, "POST", "/neuromodulators", json={"dopamine": 0.5}).status_code == 200
        assert asked(api, "GET", "/metrics").status_code == 200
        assert asked(api, "DELETE", f"/memories/{found['memories'][0]['id']}").status_code == 200
        assert asked(api, "DELETE", "/tenant", params={"tenant_id": "sandbox"}).status_code == 200
        with psycopg.connect(database.owner) as owner:
            who = "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
            assert owner.execute(who, (owner.info.backend_pid,)).fetchall() == [(database.role,)]
    done = run("retention", "--days", "365", "--memories", **stores)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_database_of_before_gets_the_role_with_its_next_migration_and_its_pods_serve_on(database: Database) -> None:
    alembic(database.owner, "upgrade", "0003_adaptation")
    insert(database.owner, range(3))
    before = {"SOMABRAIN_POSTGRES_DSN": database.owner, "SOMABRAIN_REDIS_URL": os.environ["SOMABRAIN_REDIS_URL"]}
    said = run("migrate", SOMABRAIN_POSTGRES_DSN=database.owner).stdout
    assert "SOMABRAIN_APP_DSN is not set: the API has the migration's own role\n" in said
    with of_the_test(**before) as former:
        assert settled(former).status_code == 200
        for _ in range(2):
            database.migrate()
            assert asked(former, "POST", "/remember", json={"task": "of the former"}).status_code == 200
    with psycopg.connect(database.app) as app:
        assert app.execute("SELECT count(*) FROM memories").fetchone() == (5,)


def test_what_a_later_release_adds_is_the_role_s_too_before_and_after_it_is_taken_back(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database.migrate()
    with psycopg.connect(database.owner, autocommit=True) as owner, psycopg.connect(database.app) as app:
        owner.execute("CREATE TABLE later (id bigserial PRIMARY KEY)")
        app.execute("INSERT INTO later DEFAULT VALUES")  # before any migration has come to its grants
        app.commit()
        owner.execute("DROP TABLE later")
        (now,) = app.execute("SELECT version_num FROM alembic_version").fetchall()[0]
        app.commit()
        database.migrate(PYTHONPATH=later(tmp_path_factory.mktemp("release"), now, now))
        assert "of a later release" in database.migrate()  # taken back: the rights are given again
        app.execute("SELECT later FROM memories")


def test_a_new_password_comes_with_the_next_migration_and_never_goes_to_the_server_in_the_clear(
    brain: Brain, database: Database
) -> None:
    database.migrate()
    another = database.address(database.role, "another")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(another)
    database.migrate(SOMABRAIN_APP_DSN=another)
    with psycopg.connect(another):
        pass
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database.app)
    ((verifier,),) = brain.service.rows("SELECT rolpassword FROM pg_authid WHERE rolname = %s", database.role)
    assert str(verifier).startswith("SCRAM-SHA-256$")


def test_migrations_at_the_same_time_make_one_role(brain: Brain, database: Database) -> None:
    """In two databases of a server too: roles are the server's."""
    name = f"roles_{uuid4().hex}"
    brain.service.sql.execute(f'CREATE DATABASE "{name}"')
    others = Database(urlunsplit(urlsplit(database.owner)._replace(path=f"/{name}")), database.role)
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda n: (database, others)[n % 2].migrate(), range(4)))
        for one in (database, others):
            with psycopg.connect(one.app) as app:
                assert app.execute("SELECT count(*) FROM memories").fetchone() == (0,)
    finally:
        brain.service.sql.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_an_owner_who_may_make_no_role_is_told_what_to_do_and_uses_one_that_was_made(
    brain: Brain, poor: Database
) -> None:
    assert f"there is no role {poor.role}, and " in poor.refused()
    assert "or remove SOMABRAIN_APP_DSN" in poor.refused(
        SOMABRAIN_APP_DSN=poor.app.replace(f":{quote(PASSWORD, '')}", "")
    )
    assert run("migrate", SOMABRAIN_POSTGRES_DSN=poor.owner).returncode == 0
    literal = PASSWORD.replace("'", "''")
    brain.service.sql.execute(f"CREATE ROLE \"{poor.role}\" LOGIN PASSWORD '{literal}'")
    poor.migrate()
    with psycopg.connect(poor.app, autocommit=True) as app:
        app.execute("INSERT INTO tenants (tenant_id) VALUES ('t')")
        with pytest.raises(InsufficientPrivilege):
            app.execute("CREATE TABLE intruder (id integer)")


@pytest.mark.parametrize(
    ("power", "said"),
    [
        ("ALTER ROLE {role} SUPERUSER", "is a superuser"),
        ("ALTER ROLE {role} CREATEROLE", "makes roles or databases"),
        ("ALTER ROLE {role} BYPASSRLS", "replicates or passes by row security"),
        ("GRANT pg_write_server_files TO {role}", "is a member of others"),
    ],
)
def test_a_role_that_may_do_more_is_refused_and_not_changed(
    brain: Brain, database: Database, power: str, said: str
) -> None:
    sql, mark = brain.service.sql, "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
    sql.execute(f"CREATE ROLE \"{database.role}\" LOGIN PASSWORD 'x'")
    sql.execute(power.format(role=f'"{database.role}"'))
    before = brain.service.rows(mark, database.role)
    last = database.refused()
    assert f"the role {database.role} of SOMABRAIN_APP_DSN {said}: name one that does not" in last
    assert brain.service.rows(mark, database.role) == before


def test_an_address_that_names_no_role_is_refused_and_the_owner_s_own_is_told(database: Database) -> None:
    for wrong in ("postgresql://h/d", f"postgresql://a:%zz{quote(PASSWORD)}@h/d"):
        assert "SOMABRAIN_APP_DSN names no role" in database.refused(SOMABRAIN_APP_DSN=wrong)
    assert "the API has the migration's own role " in database.migrate(SOMABRAIN_APP_DSN=database.owner)
