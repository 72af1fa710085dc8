"""Programs that fail as real ones do: run by the scenarios in pods, by the tests of the rules as children."""

RAISES = "raise ValueError('no bread')"
TAKES_A_PORT_TWICE = """
import socket
first, second = socket.socket(), socket.socket()
for one in (first, second):
    one.bind(("127.0.0.1", 18765))
    one.listen()
"""
ASKS_FOR_NOBODY = "import socket; socket.create_connection(('nobody-at-all', 80), timeout=5)"
# A revision that fails; with a revision as its argument, a database that is at that one.
MIGRATES = """
import logging, pathlib, sys, tempfile
logging.basicConfig(level=logging.INFO, format="%(levelname)-5.5s [%(name)s] %(message)s")
from alembic import command
from alembic.config import Config
root, at = pathlib.Path(tempfile.mkdtemp()), (sys.argv[1:] or [""])[0]
(root / "versions").mkdir()
(root / "env.py").write_text('''
from alembic import context
from sqlalchemy import create_engine, text
with create_engine("sqlite://").connect() as connection:
    if "%s":
        connection.execute(text("create table alembic_version (version_num varchar(32))"))
        connection.execute(text("insert into alembic_version values ('%s')"))
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
''' % (at, at))
(root / "versions/0001.py").write_text('''
from alembic import op
revision, down_revision = "0001", None
def upgrade():
    op.execute("alter table nowhere add column bread int")
''')
config = Config()
config.set_main_option("script_location", str(root))
command.upgrade(config, "head")
"""
