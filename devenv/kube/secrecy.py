"""Which texts of settings and objects no message may show. Pure."""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from devenv.kube import pods
from devenv.kube.objects import Object

PASSWORD = re.compile(r"pass(word|wd|phrase)|token|secret|credential|(^|[-_.])(api|private|access)?key$", re.IGNORECASE)
# A password such as `postgres` is a word that names and reasons need.
WORD = re.compile(r".{0,5}|[A-Za-z]{0,11}")
# Keys of a Secret that say who, where and what: reasons need those. A password in a URL is hidden all the same.
PUBLIC = re.compile(
    r"(^|[-_.])(user(name)?|host(name)?|port|db(name)?|database|name(space)?|schema|region|bucket|endpoint|ur[il]|dsn"
    r"|addr(ess)?|(tls|ca)\.crt)$",
    re.IGNORECASE,
)
NUMBER = re.compile(r"[0-9.]{0,9}")
WITH_DATA = ("ConfigMap", "Secret")


def named(data: Mapping[str, str]) -> set[str]:
    """Return the values of settings whose names say that they are passwords, and the passwords in URLs."""
    found = {text for key, text in data.items() if PASSWORD.search(key)}
    return worth({*found, *(password for text in data.values() for password in of_url(text))})


def worth(texts: Iterable[str]) -> set[str]:
    return {text for text in texts if not WORD.fullmatch(text.strip()) and "${" not in text}


def of_url(text: str) -> set[str]:
    """Return the password in a URL, as it stands there and as it is; nothing where there is none."""
    try:
        password = urlsplit(text).password or ""
    except ValueError:  # its host is none
        return set()
    return {password, unquote(password)} - {""}


def of_objects(objects: Iterable[Object]) -> set[str]:
    """Return what objects hold of secrets: Secrets whole, of ConfigMaps and pods' variables what is named so."""
    return {text for obj in objects for text in of_object(obj)}


def of_object(obj: Object) -> set[str]:
    if obj.kind == "Secret":
        values = dict(of_secret(obj.raw))
        kept = {text for key, text in values.items() if not PUBLIC.search(key) and not NUMBER.fullmatch(text.strip())}
        return worth(kept) | named(values)
    data = texts(obj.raw.get("data")) if obj.kind in WITH_DATA else {}
    return named(data) | {text for variable in variables(obj) for text in named(variable)}


def of_secret(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a Secret with their values: those of `data` as they are meant, where they are texts."""
    for key, written in texts(raw.get("data")).items():
        try:
            yield key, b64decode(written, validate=True).decode()
        except ValueError:  # bytes, or no base64
            yield key, written
    yield from texts(raw.get("stringData")).items()


def variables(obj: Object) -> Iterator[dict[str, str]]:
    """Yield each variable that stands in its pods' containers."""
    for container in pods.containers({"spec": obj.raw.get("spec")}):
        for variable in container.get("env") or ():
            if isinstance(variable, Mapping):
                yield texts({str(variable.get("name")): variable.get("value")})


def texts(data: Any) -> dict[str, str]:
    found = data if isinstance(data, Mapping) else {}
    return {str(key): value for key, value in found.items() if isinstance(value, str)}
