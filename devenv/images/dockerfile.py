"""The images that a Dockerfile names: in FROM, in COPY --from and in RUN --mount. Pure.

By hand, for `dockerfile-parse` (2.0.1) takes stages for images, and does not see COPY --from, `${B:-default}`, a byte
order mark or the end of a heredoc. Source: Docker's Dockerfile reference; Docker's own parser for what a line is.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

ESCAPE = re.compile(r"(?:[ \t]*#[ \t]*\w+[ \t]*=.*\n)*?[ \t]*#[ \t]*escape[ \t]*=[ \t]*([\\`])", re.IGNORECASE)
FROM = re.compile(r"\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
ARG = re.compile(r"\s*ARG\s(.*)", re.IGNORECASE | re.DOTALL)
ARGUMENT = re.compile(r"""(\w+)(?:=("[^"]*"|'[^']*'|\S*))?""")
VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")
FLAGS = re.compile(r"\s*(?:COPY|ADD|RUN)((?:\s+--\S+)+)", re.IGNORECASE)
USED = re.compile(r"--(?:mount=(?:\S+,)?)?from=([^\s,]+)")
HEREDOC = re.compile(r"""\s\d*<<-?(["']?)(\w+)\1""")
# What only BuildKit knows (Dockerfile reference): flags, and arguments that it alone sets.
MODERN = re.compile(
    r"--(?:mount|network|security|link|chmod|parents|exclude|checksum|keep-git-dir|unpack)\b"
    r"|(?<![\w])(?:TARGET|BUILD)(?:PLATFORM|OS|ARCH|VARIANT)\b"
)
HAS_MODERN = re.compile(r"\s*(?:FROM|ARG|(?:COPY|ADD|RUN)\s+(?=--))", re.IGNORECASE)
TAKES_HEREDOC = re.compile(r"\s*(?:COPY|ADD|RUN)\s", re.IGNORECASE)


@dataclass(frozen=True)
class Mention:
    """An image that is none of the Dockerfile's own stages, and where in the text its name stands."""

    image: str
    start: int
    end: int


def decoded(data: bytes) -> str:
    """Return the text without a byte order mark. Bytes that are no UTF-8 come back as they were by `encoded`."""
    return data.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")


def encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def bases(text: str, names: Iterable[str], args: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the images of `names` that the Dockerfile is built from, each once, in its order."""
    known = set(names)
    return tuple(dict.fromkeys(m.image for m in mentions(text, args or {}) if m.image in known))


def with_bases(text: str, refs: Mapping[str, str], args: Mapping[str, str] | None = None) -> str:
    """Return the Dockerfile with references in place of the names of images."""
    parts, at = [], 0
    for mention in mentions(text, args or {}):
        if ref := refs.get(mention.image):
            parts += [text[at : mention.start], ref]
            at = mention.end
    return "".join([*parts, text[at:]])


def mentions(text: str, args: Mapping[str, str]) -> Iterator[Mention]:
    """Yield the images named, in their order. `args` are the build arguments: they go before an ARG's default."""
    stages, values = set[str](), dict[str, str]()
    begun = False
    for start, line in lines(text):
        if found := FROM.match(line):
            begun, image = True, plain(expanded(found[1], values))
            if image.lower() not in stages:
                yield Mention(image, start + found.start(1), start + found.end(1))
            stages.add((found[2] or "").lower())
        elif (found := ARG.match(line)) and not begun:  # only those before the first stage count in FROM
            for name, default in ARGUMENT.findall(found[1]):
                values[name] = args.get(name, expanded(default.strip("\"'"), values))
        elif flags := FLAGS.match(line):
            for used in USED.finditer(line, flags.start(1), flags.end(1)):
                if used[1].lower() not in stages and not used[1].isdigit():
                    yield Mention(plain(used[1]), start + used.start(1), start + used.end(1))


def needs_buildkit(text: str, args: Mapping[str, str]) -> str:
    """Return what of a Dockerfile the classic builder does not understand, with its line, or an empty string.

    A `# syntax=` line alone is a comment to it.
    """
    for start, line in lines(text):
        number = text.count("\n", 0, start) + 1
        if heredocs(line, text[start + len(line) :]):
            return f"line {number}: a heredoc"
        if HAS_MODERN.match(line):
            flags = FLAGS.match(line)
            found = next((f for f in MODERN.finditer(flags[0] if flags else line) if f[0] not in args), None)
            if found:
                return f"line {number}: {found[0]}"
    return ""


def plain(image: str) -> str:
    return image.removesuffix(":latest")


def expanded(word: str, values: Mapping[str, str]) -> str:
    """Return a word with its variables replaced; one without a value is empty."""

    def value(found: re.Match[str]) -> str:
        now = values.get(found[1] or found[2], "")
        return {"-": now or found[4], "+": found[4] if now else ""}.get(found[3], now)

    return VARIABLE.sub(value, word)


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each instruction with where it begins. Continuations and the comments between are blanks, so that places
    in the line are places in the text; what a heredoc holds is passed over.
    """
    escape = found[1] if (found := ESCAPE.match(text)) else "\\"
    begin, at, whole = 0, 0, ""
    ends: list[str] = []
    for line in text.splitlines(keepends=True):
        at += len(line)
        if ends:
            ends = ends[1:] if line.strip() == ends[0] else ends
            begin = at
            continue
        bare = line.rstrip()
        comment = not bare or bare.lstrip().startswith("#")
        goes_on = bool(whole) if comment else bare.endswith(escape)
        whole += ("" if comment else bare[:-1] if goes_on else bare).ljust(len(line))
        if not goes_on:
            yield begin, whole
            ends = heredocs(whole, text[at:])
            begin, whole = at, ""
    if whole:
        yield begin, whole


def heredocs(line: str, rest: str) -> list[str]:
    """Return the words that end the heredocs of an instruction; what never ends is none."""
    words = [word for _, word in HEREDOC.findall(line)] if TAKES_HEREDOC.match(line) else []
    return [word for word in words if re.search(rf"^\s*{word}\s*$", rest, re.MULTILINE)]
