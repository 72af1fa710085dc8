"""What is known of things by their names: names that Kubernetes takes, and images that many projects use. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

LONGEST = 40  # of a name in the table (schema.Name)


@dataclass(frozen=True)
class Known:
    """What is known of an image: its port, how its service is asked, whether it keeps data."""

    port: int
    probe: str = "tcp"
    keeps_data: bool = False


DATABASE = {"postgres": 5432, "postgis": 5432, "pgvector": 5432, "timescaledb": 5432, "postgresql": 5432}
OTHERS = {
    **{"mysql": 3306, "mariadb": 3306, "mongo": 27017, "mongodb": 27017, "redis": 6379, "valkey": 6379, "keydb": 6379},
    **{"rabbitmq": 5672, "nats": 4222, "elasticsearch": 9200, "opensearch": 9200, "minio": 9000, "influxdb": 8086},
    **{"clickhouse": 9000, "clickhouse-server": 8123, "cassandra": 9042, "neo4j": 7687, "couchdb": 5984, "etcd": 2379},
    **{"kafka": 9092, "zookeeper": 2181, "qdrant": 6333, "cockroach": 26257, "consul": 8500},
}
WITHOUT_DATA = {
    "memcached": 11211,
    "nginx": 80,
    "httpd": 80,
    "caddy": 80,
    "traefik": 80,
    "mailpit": 1025,
    "mailhog": 1025,
}
IN_REDIS_WORDS = ("redis", "valkey", "keydb")
IMAGES = {
    **{name: Known(port, "postgres", True) for name, port in DATABASE.items()},
    **{name: Known(port, "redis" if name in IN_REDIS_WORDS else "tcp", True) for name, port in OTHERS.items()},
    **{name: Known(port) for name, port in WITHOUT_DATA.items()},
}
# What a healthcheck asks for: the port and the path of a page of its own container.
PAGE = re.compile(r"http://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::(\d{1,5}))?(/[^\s\"'|;&)$\ue000]*)?")
PROBES = {known.port: known.probe for known in IMAGES.values() if known.probe != "tcp"}


def last_part(image: str) -> str:
    """Return the last part of an image's name, without tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def of_image(image: str | None) -> Known | None:
    return IMAGES.get(last_part(image or ""))


def label(text: str, stem: str = "x") -> str:
    """Return a text as a name that Kubernetes takes for anything (RFC 1035): it begins with a letter."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    name = name if name[:1].isalpha() else f"{stem}-{name}".strip("-")
    return name[:LONGEST].rstrip("-")


def free(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken: this one, or with a number."""
    used = {*taken}
    return next(n for n in (name, *(f"{name[: LONGEST - 5]}-{k}" for k in range(2, 10_000))) if n not in used)


def local_port(wanted: int, taken: Iterable[int]) -> int:
    """Return a local port for a port of a Service: the same; 8080 for 80, as others may not be listened on by everyone;
    and where that is taken, one from 10000 on.
    """
    used = {*taken}
    first: int = wanted if wanted >= 1024 else 8000 + wanted
    second = 10_000 + wanted if wanted < 50_000 else 10_000
    ports: Iterator[int] = chain((first,), range(second, 65_536), range(1024, second))
    return next(port for port in ports if port not in used)


def upper(name: str) -> str:
    """Return a name as that of a variable."""
    return re.sub(r"[^A-Z0-9]+", "_", name.upper())
