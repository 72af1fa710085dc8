"""The name of an image: its registry, its repository, its tag or digest. Pure."""

HUB, HUB_BEFORE = "docker.io", "index.docker.io"


def repository(image: str) -> str:
    """Return an image reference without tag and digest, in full: `postgres:15` is docker.io/library/postgres.

    Source: the reference grammar of distribution; a first part with a dot, a colon or `localhost` is a host. Docker Hub
    has a second name, and images without a folder in their name are in its folder `library` (its normalize.go).
    """
    name = image.split("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.split(':')[0]}"
    host, slash, rest = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, rest = HUB, name
    if host in (HUB, HUB_BEFORE):
        host, rest = HUB, rest if "/" in rest else f"library/{rest}"
    return f"{host}/{rest}"
