"""Addresses and paths of a pod's settings, as they are for a process outside: by the forwards that lead there."""

from itertools import product

import pytest

from devenv.kube import outside
from devenv.kube.outside import Backend, Outside

SERVICES = outside.services([("db", "shop", [5432]), ("web", "shop", [80, 81]), ("opa", "shop", [8181]),
                             ("db", "other", [5432])])  # fmt: skip
FORWARDS = {Backend("db", "shop", 5432): 55432, Backend("web", "shop", 80): 8080, Backend("db", "other", 5432): 5432}
PATHS = {"/etc/app": "/run/attached/etc/app", "/etc/app/deep": "/run/attached/etc/app/deep"}
WORLD = Outside("shop", SERVICES, FORWARDS, PATHS, {"/data": "volume data (emptyDir)"})
NAMES = ("db", "db.shop", "db.shop.svc", "db.shop.svc.cluster.local", "db.shop.svc.cluster.local.")
# What stands before and behind an address where it is one, and where it is a part of another word.
BEFORE = {
    "": True, "postgresql://": True, "postgresql://me:pw@": True, "a:1,": True, "x ": True, "=": True, "'": True,
    "x": False, "-": False, ".": False, "_": False,
}  # fmt: skip
BEHIND = {"": True, "/name": True, ",b:1": True, " ": True, "?x": True, "'": True, "0": False, "a": False}


def one(text: str) -> str:
    return WORLD.text("X", text, [])


@pytest.mark.parametrize(("name", "before", "behind"), [*product(NAMES, BEFORE, BEHIND)])
def test_a_service_with_the_port_of_a_forward_becomes_its_local_address(name: str, before: str, behind: str) -> None:
    text = f"{before}{name}:5432{behind}"
    whole = BEFORE[before] and BEHIND[behind]
    assert one(text) == (f"{before}127.0.0.1:55432{behind}" if whole else text)


@pytest.mark.parametrize("name", ["db.other", "db.other.svc", "db.other.svc.cluster.local"])
def test_a_service_of_another_namespace_is_known_by_its_long_names_alone(name: str) -> None:
    assert one(f"{name}:5432") == "127.0.0.1:5432"
    assert Outside("else", SERVICES, FORWARDS).text("X", "db:5432", []) == "db:5432"


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        ("http://web", "http://127.0.0.1:8080"),
        ("http://web/x", "http://127.0.0.1:8080/x"),
        ("https://web/x", "https://web/x"),
        ("postgresql+asyncpg://me:p%40@db/x?y=db", "postgresql+asyncpg://me:p%40@127.0.0.1:55432/x?y=db"),
        ("odd://db/x", "odd://db/x"),
        ("http://web.example.com/x", "http://web.example.com/x"),
        ("http://example.com/web", "http://example.com/web"),
        ("the web is db", "the web is db"),
        ("http://db:5432@web/x", "http://127.0.0.1:55432@127.0.0.1:8080/x"),
    ],
)
def test_a_url_without_a_port_means_the_port_of_its_scheme(text: str, is_: str) -> None:
    assert one(text) == is_


def test_what_no_forward_leads_to_stays_and_is_told_without_the_value() -> None:
    lacks: list[str] = []
    assert WORLD.text("OPA_URL", "http://me:hunter2@opa:8181/x,web:81,opa:1", lacks) == (
        "http://me:hunter2@opa:8181/x,web:81,opa:1"
    )
    told = [f"OPA_URL names {name}, to which no forward leads" for name in ("opa:8181", "web:81")]
    assert sorted(lacks) == sorted(told)


@pytest.mark.parametrize(
    ("host", "port"), [("DB_HOST", "DB_PORT"), ("DB_HOSTNAME", "DB_PORT"), ("DB_SERVER", "DB_PORT"),
                       ("PGHOST", "PGPORT"), ("DB_ADDR", "DB_ADDR_PORT")]
)  # fmt: skip
def test_a_host_and_its_port_in_two_settings_are_rewritten_together(host: str, port: str) -> None:
    found, lacks = WORLD.settings({host: "db", port: "5432"})
    assert (found, lacks) == ({host: "127.0.0.1", port: "55432"}, [])


def test_a_host_alone_is_rewritten_where_the_port_is_the_same_and_told_where_not() -> None:
    assert WORLD.settings({"DB_HOST": "db.other"}) == ({"DB_HOST": "127.0.0.1"}, [])
    found, lacks = WORLD.settings({"DB_HOST": "db", "OPA_HOST": "opa", "APP_NAME": "web"})
    assert found == {"DB_HOST": "db", "OPA_HOST": "opa", "APP_NAME": "web"}
    assert lacks == [
        f"{name}_HOST names {name.lower()}, to which no forward leads by the same port" for name in ("DB", "OPA")
    ]
    wrong = WORLD.settings({"DB_HOST": "db", "DB_PORT": "1"})
    assert wrong[0] == {"DB_HOST": "db", "DB_PORT": "1"}


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        ("/etc/app", "/run/attached/etc/app"),
        ("/etc/app/x.yaml", "/run/attached/etc/app/x.yaml"),
        ("/etc/app/deep/x", "/run/attached/etc/app/deep/x"),
        ("--config=/etc/app/x:/etc/app/y", "--config=/run/attached/etc/app/x:/run/attached/etc/app/y"),
        ("file:///etc/app/x", "file:///run/attached/etc/app/x"),
        ("/etc/app2", "/etc/app2"),
        ("/etc/app.d/x", "/etc/app.d/x"),
        ("/usr/etc/app/x", "/usr/etc/app/x"),
        ("etc/app", "etc/app"),
    ],
)
def test_a_path_below_a_mount_leads_to_where_its_files_are(text: str, is_: str) -> None:
    assert one(text) == is_


def test_a_path_of_a_volume_that_is_not_here_is_told() -> None:
    lacks: list[str] = []
    assert WORLD.text("DIR", "/data/x", lacks) == "/data/x"
    assert lacks == ["DIR names /data, of volume data (emptyDir), which is not here"]


def test_where_there_is_no_service_and_no_mount_nothing_is_rewritten() -> None:
    assert Outside("shop", {}, {}).text("X", "db:5432 http://db/ /etc/app", []) == "db:5432 http://db/ /etc/app"
