"""The API's own role in Postgres: it reads and writes rows, owns nothing and makes nothing.

The migration makes it, as the owner of the tables, so a database of before has it after its next migration.
"""

import time
from dataclasses import dataclass, field

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DuplicateObject, InsufficientPrivilege, InternalError_, UniqueViolation
from psycopg.rows import TupleRow

from somabrain.database import CONNECT_S

LOCK = 0x50AABA2  # one number for everybody who gives rights in this database
# Roles are the server's: a migration of another database of it may change the same one at the same time.
MET = (DuplicateObject, InternalError_, UniqueViolation)
TRIES, PAUSE_S = 10, 0.2
READ_ONLY = ("alembic_version", "schema_floor")  # what the migrations alone write
# What keeps a role from being one that reads and writes rows, and no more.
POWERS = """
    SELECT array_remove(ARRAY[
        CASE WHEN rolsuper THEN 'is a superuser' END,
        CASE WHEN rolcreaterole OR rolcreatedb THEN 'makes roles or databases' END,
        CASE WHEN rolreplication OR rolbypassrls THEN 'replicates or passes by row security' END,
        CASE WHEN EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) THEN 'is a member of others' END,
        CASE WHEN EXISTS (SELECT FROM pg_database WHERE datdba = r.oid) THEN 'owns a database' END,
        CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspowner = r.oid) THEN 'owns a schema' END,
        CASE WHEN EXISTS (SELECT FROM pg_class WHERE relowner = r.oid) THEN 'owns tables' END
    ], NULL) FROM pg_roles r WHERE rolname = %s
"""
OWNED = """
    SELECT relname, relkind = 'S' FROM pg_class JOIN pg_roles r ON relowner = r.oid
    WHERE rolname = current_user AND relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'S')
"""
ROWS, NUMBERS = "SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT"


class RoleFault(ValueError):
    """What a person has to correct before the API can have its role."""


@dataclass(frozen=True)
class Login:
    name: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, dsn: str) -> "Login":
        try:
            found = conninfo_to_dict(dsn)
        except psycopg.ProgrammingError:  # its text may show the password
            found = {}
        if not (name := str(found.get("user") or "")):
            raise RoleFault(
                "SOMABRAIN_APP_DSN names no role: wanted postgresql://ROLE:PASSWORD@HOST/DATABASE"
            ) from None
        return cls(name, str(found.get("password") or ""))


def give(owner_dsn: str, app_dsn: str) -> str:
    """Let the role of `app_dsn` read and write the rows of the owner's tables, and make it where it is not there.

    Return what to say. All of it is one transaction, and may be repeated. Raise RoleFault where a person has to act.
    """
    login = Login.of(app_dsn)
    for left in reversed(range(TRIES)):
        try:
            with psycopg.connect(owner_dsn, connect_timeout=CONNECT_S, application_name="somabrain-migrate") as owner:
                return given(owner, login)
        except MET:
            if not left:
                raise
            time.sleep(PAUSE_S)
    raise AssertionError("unreachable")


def given(owner: Connection[TupleRow], login: Login) -> str:
    owner.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    user, schema, database = one(owner, "SELECT current_user, current_schema(), current_database()")
    if login.name == user:
        return f"the API has the migration's own role {user}"
    make(owner, login, str(user))
    grant(owner, login.name, str(schema), str(database))
    said = f"the role {login.name} may read and write rows, and nothing else"
    if one(owner, "SELECT has_schema_privilege(%s, %s, 'CREATE')", login.name, schema)[0]:
        said += f", but everybody may make tables here: REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC"
    return said


def one(connection: Connection[TupleRow], query: sql.Composable | str, *values: object) -> TupleRow:
    found = connection.execute(query, values).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return found


def make(owner: Connection[TupleRow], login: Login, user: str) -> None:
    """Make the role, or give one that is there its password: as a verifier, so that no log of the server has it."""
    found = owner.execute(POWERS, (login.name,)).fetchone()
    if found and found[0]:
        raise RoleFault(f"the role {login.name} of SOMABRAIN_APP_DSN {' and '.join(found[0])}: name one that does not")
    if not login.password and found:
        return
    by_hand = f"make it (CREATE ROLE {login.name} LOGIN PASSWORD …), or remove SOMABRAIN_APP_DSN"
    if not login.password:
        raise RoleFault(f"SOMABRAIN_APP_DSN has no password, and there is no role {login.name}: {by_hand}")
    encoding = owner.info.encoding
    verifier = owner.pgconn.encrypt_password(
        login.password.encode(encoding), login.name.encode(encoding), b"scram-sha-256"
    ).decode(encoding)
    verb = sql.SQL("ALTER" if found else "CREATE")
    statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(login.name), sql.Literal(verifier))
    try:
        with owner.transaction():
            owner.execute(statement)
    except InsufficientPrivilege:
        if not found:  # one that an administrator made has its password from there
            raise RoleFault(f"there is no role {login.name}, and {user} may not make it: {by_hand}") from None


def grant(owner: Connection[TupleRow], name: str, schema: str, database: str) -> None:
    role, home = sql.Identifier(name), sql.Identifier(schema)

    def execute(text: str, *names: sql.Composable) -> None:
        owner.execute(sql.SQL(text).format(*names, role=role, home=home))

    if not one(owner, "SELECT has_database_privilege(%s, %s, 'CONNECT')", name, database)[0]:
        execute("GRANT CONNECT ON DATABASE {} TO {role}", sql.Identifier(database))
    execute("REVOKE ALL ON SCHEMA {home} FROM {role}")
    execute("GRANT USAGE ON SCHEMA {home} TO {role}")
    for relation, numbers in owner.execute(OWNED).fetchall():
        rights = NUMBERS if numbers else "SELECT" if relation in READ_ONLY else ROWS
        on = "ON SEQUENCE {home}.{}" if numbers else "ON TABLE {home}.{}"
        execute(f"REVOKE ALL {on} FROM {{role}}", sql.Identifier(relation))
        execute(f"GRANT {rights} {on} TO {{role}}", sql.Identifier(relation))
    # Those of later releases, whose pods may be asked before their migration has come to this.
    for kind, rights in (("TABLES", ROWS), ("SEQUENCES", NUMBERS)):
        execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {{home}} GRANT {rights} ON {kind} TO {{role}}")
