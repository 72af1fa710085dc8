"""devenv init: the table and, where there is none of it, the manifests of a project, from what its folder has."""

import os
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from devenv.errors import DevenvError, UsageError
from devenv.project import envfile, gitignore, render
from devenv.project import manifests as project_manifests
from devenv.project.inputs import Chart, Input
from devenv.project.schema import Project
from devenv.project.settings import Settings
from devenv.project.table import OWN_FILE, PYPROJECT, TABLE_HEADER
from devenv.scaffold import compose, convert, found, manifests
from devenv.scaffold.compose import Compose
from devenv.scaffold.draft import Draft
from devenv.scaffold.found import FOLDERS, Found
from devenv.scaffold.known import free, label
from devenv.scaffold.model import Build, Port, Service
from devenv.scaffold.model import Project as ComposeProject
from devenv.scaffold.passwords import Passwords, as_env
from devenv.scaffold.sources import exposed
from devenv.system import masking

ENV_FILE, EXAMPLE = ".env", ".env.example"
HEAD = "# What devenv brings up. docs/reference.md of devenv has all keys; `devenv schema` prints them for editors.\n"
NOTHING = (
    "no compose file, chart, kustomization, manifests or Dockerfile were found here\n"
    "hint: run devenv init in the project's folder, or write the table by hand (docs/reference.md)"
)
VALUES = ("values-dev.yaml", "values-local.yaml", "values-development.yaml", "values.dev.yaml", "values.local.yaml")


@dataclass(frozen=True)
class File:
    """A file to write, or what to add at the end of one."""

    path: str
    text: str
    change: Literal["new", "appended"] = "new"
    private: bool = False
    shown: str = ""  # what may be printed of it


@dataclass(frozen=True)
class Proposal:
    """What `devenv init` writes, and what it tells of that."""

    root: Path
    files: tuple[File, ...]
    notes: tuple[str, ...] = field(default=())


def propose(root: Path) -> Proposal:
    """Return what to write for the project in a folder. Changes nothing. Raise UsageError where it has a table."""
    pyproject = found.text_of(root / PYPROJECT)
    for name, has in ((OWN_FILE, (root / OWN_FILE).exists()), (PYPROJECT, TABLE_HEADER.search(pyproject or ""))):
        if has:
            raise UsageError(f"{name}: has a table of devenv's already; nothing was written\nhint: devenv up")
    there = found.look(root)
    draft = Draft(there.names[0], tests=there.tests)
    draft.namespace = draft.name
    if not (described(draft, there) or composed(draft, there) or built(draft, there)):
        raise UsageError(f"{root}: {NOTHING}")
    masking.hide({setting.value for setting in draft.passwords.new.values() if len(setting.value) > 5})
    files = (*manifest_files(draft), *env_files(draft, root), table_file(draft, pyproject))
    if present := [file.path for file in files if file.change == "new" and os.path.lexists(root / file.path)]:
        raise UsageError(
            f"{', '.join(present)}: there already; nothing was written\n"
            "hint: move it away, or write the table by hand (docs/reference.md)"
        )
    return Proposal(root, files, tuple(draft.notes))


def described(draft: Draft, there: Found) -> bool:
    """Take manifests that are there: of a kustomization, of a chart, or as they are."""
    folders, charts = list(there.kustomizations), list(there.charts)
    if folders:
        draft.manifests = [folders[0]]
    elif charts:
        values = [name for name in VALUES if there.read(f"{charts[0]}/{name}") is not None or there.read(name)]
        where = [
            f"{charts[0]}/{name}" if there.read(f"{charts[0]}/{name}") is not None else name for name in values[:1]
        ]
        draft.manifests = [{"chart": charts[0], "values": where}] if where else [charts[0]]
    elif there.manifests:
        draft.manifests = list(there.manifests)
    else:
        return False
    others = [*folders[1:], *charts[0 if folders else 1 :], *([there.compose] if there.compose else [])]
    if others:
        draft.notes.append(f"also found, and not used: {', '.join(others)}")
    try:
        texts = rendered(there.root, draft)
    except DevenvError as error:
        first = str(error).partition("\n")[0]
        draft.notes.append(f"images and forwards are not known, since the manifests could not be rendered: {first}")
        return True
    objects = project_manifests.parsed(texts, draft.name)
    draft.namespace = manifests.namespace(objects, draft.name)
    manifests.into(draft, project_manifests.parsed(texts, draft.namespace), there.dockerfiles, there.names)
    return True


def rendered(root: Path, draft: Draft) -> dict[str, str]:
    """Return the texts of the manifests, by the same programs as `devenv up`."""
    project = Project.model_validate({"name": draft.name, "manifests": draft.manifests})
    settings = Settings(root=root, file=root / OWN_FILE, project=project)
    inputs: tuple[Input, ...] = project.manifests
    first = inputs[0]
    if isinstance(first, Path) and (root / first / "Chart.yaml").is_file():
        inputs = (Chart(chart=first),)
    return {name: text for one in inputs for name, text in render.texts(settings, one).items()}


def composed(draft: Draft, there: Found) -> bool:
    """Take a compose file."""
    if there.compose is None:
        return False
    text = render.text_of(there.root / there.compose)
    read = compose.read(there.compose, text, passwords(there))
    if read.project.name:
        draft.name = draft.namespace = label(read.project.name, "p")
    converted(draft, there, read)
    return True


def built(draft: Draft, there: Found) -> bool:
    """Take Dockerfiles alone: one service each, that listens on the ports that it exposes."""
    services: dict[str, Service] = {}
    for name, table in manifests.builds(there.dockerfiles, list(there.names[:1])):
        path = str(Path(table["build"]) / table.get("dockerfile", "Dockerfile"))
        ports = [Port(target=port) for port in dict.fromkeys(exposed(there.read(path) or ""))]
        build = Build(context=table["build"], dockerfile=table.get("dockerfile", "Dockerfile"))
        services[free(name, services)] = Service.model_validate({"build": build.model_dump(), "ports": ports})
        if not ports:
            draft.notes.append(f"{path}: exposes no port, so there is no Service: EXPOSE it, and run this again")
    if services:
        converted(draft, there, Compose("Dockerfile", ComposeProject(services=services), {}, Passwords()))
    return bool(services)


def converted(draft: Draft, there: Found, read: Compose) -> None:
    draft.passwords = read.passwords
    conversion = convert.Conversion(read, there.read, ENV_FILE)
    conversion.into(draft, FOLDERS[0])
    others = any(render.is_manifest(file) for file in found.listed(there.root / FOLDERS[0]))
    draft.manifests = [*draft.files] if others else [FOLDERS[0]]


def passwords(there: Found) -> Passwords:
    """Return the settings of the env-file that is there, or of its example."""
    for name in (ENV_FILE, EXAMPLE):
        if (there.root / name).is_file():
            try:
                return Passwords(envfile.read(render.text_of(there.root / name)))
            except envfile.Fault as error:
                raise UsageError(f"{name}: {error}") from error
    return Passwords()


def manifest_files(draft: Draft) -> list[File]:
    return [File(path, text, shown=text) for path, text in draft.files.items()]


def env_files(draft: Draft, root: Path) -> list[File]:
    """Return what the env-file and its example are to have too."""
    new, here, example = draft.passwords.new, root / ENV_FILE, root / EXAMPLE
    if draft.secrets and not gitignore.ignores(here):
        draft.notes.append(f"{ENV_FILE} has passwords, and git does not ignore it: write it into .gitignore")
    if not new:
        return []
    shown = "".join(f"{key}=***\n" for key in new)
    files = [added(EXAMPLE, found.text_of(example), as_env(new, public=True), shown)]
    if here.exists():
        files.append(added(ENV_FILE, found.text_of(here), envfile.filled(as_env(new, public=False)), shown, True))
    elif any(setting.private for setting in new.values()):
        whole = envfile.filled(ended(found.text_of(example)) + as_env(new, public=False))
        files.append(File(ENV_FILE, whole, private=True, shown=shown))
    return files


def added(path: str, there: str | None, text: str, shown: str, private: bool = False) -> File:
    """Return a file with this text; where it is there already, the text is added to it."""
    if there is None:
        return File(path, text, private=private, shown=shown)
    between = ended(there)[len(there) :]
    return File(path, between + text, "appended", private, shown)


def ended(text: str | None) -> str:
    return "" if not text else text if text.endswith("\n") else f"{text}\n"


def table_file(draft: Draft, pyproject: str | None) -> File:
    """Return the table: at the end of pyproject.toml where that can have it, else in a file of its own."""
    if pyproject is not None:
        text = f"\n{draft.table(('tool', 'devenv'))}"
        file = added(PYPROJECT, pyproject, text, text.lstrip())
        try:
            if tomllib.loads(pyproject + file.text)["tool"]["devenv"]:
                return replace(file, change="appended")
        except (tomllib.TOMLDecodeError, KeyError, TypeError):
            draft.notes.append(f"{PYPROJECT} could not take the table at its end, so it is in {OWN_FILE}")
    text = HEAD + draft.table(())
    return File(OWN_FILE, text, shown=text)


def write(proposal: Proposal) -> None:
    """Write what was proposed. Nothing that is there is overwritten; what was begun is taken back if it fails."""
    made: list[Path] = []
    try:
        for file in proposal.files:
            path = proposal.root / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.change == "new":
                mode = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if file.private else 0o666)
                made.append(path)
                with os.fdopen(mode, "w", encoding="utf-8") as there:
                    there.write(file.text)
        for file in proposal.files:
            if file.change == "appended":
                with (proposal.root / file.path).open("a", encoding="utf-8") as there:
                    there.write(file.text)
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        raise DevenvError(f"{error.filename}: {error.strerror}; nothing was written") from error
