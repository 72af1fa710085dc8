"""Where the passwords of a compose file go: into the env-file, and from there by the table into Secrets. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from devenv.kube import secrecy
from devenv.project import envfile
from devenv.project.envfile import GENERATED
from devenv.scaffold import template
from devenv.scaffold.template import Parts, Variable

ESCAPED = re.compile(r'([\\"$`])')
OF_FILE = re.compile(r"_FILE$", re.IGNORECASE)
# A reference within a command, by characters that Unicode leaves to programs: until it is known what is written there.
MARK = re.compile("\ue000([A-Za-z_][A-Za-z0-9_]*)\ue001")


@dataclass(frozen=True)
class Setting:
    value: str
    private: bool  # whether it was in a file that git may not have


@dataclass
class Passwords:
    """The settings of the env-file, and those that are to come into it."""

    known: Mapping[str, str] = field(default_factory=dict)
    new: dict[str, Setting] = field(default_factory=dict)

    def value(self, key: str) -> str | None:
        return self.known[key] if key in self.known else self.new[key].value if key in self.new else None

    def kept(self, key: str, value: str, owner: str, private: bool = False) -> str:
        """Return the reference to a setting with this value: of this key, or where that is taken, of its owner's."""
        stem = re.sub(r"\W", "_", key, flags=re.ASCII)
        if not re.match(envfile.KEY, stem):
            stem = f"_{stem}"
        mine = f"{re.sub(r'[^A-Za-z0-9]', '_', owner).upper()}_{stem}"
        names = (stem, mine if re.match(envfile.KEY, mine) else f"_{mine}", *(f"{stem}_{n}" for n in range(2, 1000)))
        name = next(n for n in names if self.value(n) in (None, value))
        if name not in self.known:
            self.new.setdefault(name, Setting(value, private))
        return f"${{env.{name}}}"

    def variable(self, part: Variable) -> str | None:
        """Return the reference to a variable of the env-file, which has it from now on; None where that is not it."""
        if part.operator.endswith("+"):
            return None
        now = self.value(part.name)
        if part.name in self.known:
            return f"${{env.{part.name}}}" if part.is_set(self.known) else None
        if part.operator.endswith("?"):
            wanted = GENERATED
        else:
            wanted = template.joined(part.word, self.known) if part.operator.endswith("-") else ""
        if not wanted or now not in (None, wanted):
            return None
        self.new.setdefault(part.name, Setting(wanted, private=False))
        return f"${{env.{part.name}}}"

    def secret(self, key: str, parts: Parts, owner: str, private: bool = False) -> str | None:
        """Return what the table says of a variable that holds a password; None for one that holds none."""
        if key_is_secret(key):
            required = next((p for p in parts if isinstance(p, Variable) and p.operator.endswith("?")), None)
            if required is None and not template.joined(parts, self.known):
                return None
        elif not any(key_is_secret(name) for name in template.names(parts)) and not self.of_url(parts):
            return None
        written = [p if isinstance(p, str) else self.variable(p) for p in parts]
        texts = [p for p in parts if isinstance(p, str)]
        refers = any(isinstance(p, Variable) for p in parts) and not any("${" in text for text in texts)
        if refers and None not in written and not any(of for text in texts for of in secrecy.of_url(text)):
            return "".join(w for w in written if w)
        return self.kept(key, self.joined(parts), owner, private)

    def joined(self, parts: Parts) -> str:
        """Return a text with its values; a required one that is not set is to be made."""
        values = dict(self.known)
        for part in parts:
            if isinstance(part, Variable) and part.operator.endswith("?") and not part.is_set(values):
                values[part.name] = GENERATED
        return template.joined(parts, values)

    def of_url(self, parts: Parts) -> set[str]:
        return secrecy.of_url(self.joined(parts))

    def referring(self, parts: Parts) -> str:
        """Return a command with its values; those of passwords are marked places."""
        found = []
        for part in parts:
            if isinstance(part, Variable) and key_is_secret(part.name) and self.variable(part):
                found.append(f"\ue000{part.name}\ue001")
            else:
                found.append(template.value_of(part, self.known))
        return "".join(found)


def key_is_secret(key: str) -> bool:
    """Whether a variable's name says that it holds a password; the name of a file with it is none."""
    return bool(secrecy.PASSWORD.search(key)) and not OF_FILE.search(key)


def as_env(settings: Mapping[str, Setting], public: bool) -> str:
    """Return the lines of an env-file; in a `public` one, what git may not have is to be made anew."""
    values = {key: GENERATED if public and s.private else s.value for key, s in settings.items()}
    return "".join(f"{key}={quoted(value)}\n" for key, value in values.items())


def quoted(value: str) -> str:
    """Return a value as every reader of the env-file takes it, or where none is read alike by all, as ours does."""
    if value == GENERATED:
        return value
    try:
        return envfile.written("", value)
    except envfile.Fault:
        return f'"{ESCAPED.sub(lambda m: chr(92) + m[1], value)}"'
