"""The name of an image: its registry, its repository, its tag or digest. Pure."""


def repository(image: str) -> str:
    """Return an image reference without tag and digest, in full: `postgres:15` is docker.io/library/postgres.

    Source: the reference grammar of distribution; a first part with a dot, a colon or `localhost` is a host.
    """
    name = image.split("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.split(':')[0]}"
    host, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in host or ":" in host or host == "localhost" else f"docker.io/{name}"
