"""The structure that docs/architecture.md draws: imports point inwards, a heavy library has one home."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "devenv"
# From the edge inwards; a module may import from later rows only.
ROWS = (
    ("cli",),
    ("cli_forward", "cli_images", "cli_promote", "cli_tls"),
    ("cli_options",),
    ("push",),
    ("report", "verbs", "image_verbs", "tls_verbs"),
    ("cert_manager", "promote"),
    ("execute", "teardown"),
    ("rollout",),
    ("observe",),
    ("provision", "request", "provider"),
    ("revision",),
    ("forward", "images", "kind", "kube", "node", "registry", "sources"),
    ("sbom",),
    ("contents", "reproducible", "trust", "context"),
    ("docker_host", "layers", "state"),
    ("process", "wait", "handshake", "certificates"),
    ("plan", "promotion"),
    ("stack", "acme"),
    ("tls",),
    ("graph", "manifest", "readiness", "config"),
    ("table",),
    ("acts", "places", "digest", "errors", "rows"),
)
# A process of its own, started by `forward`: small, so it shares nothing with the rest.
APART: dict[str, set[str]] = {
    "forwarder": {"apiserver", "balancer", "busypoll", "credentials", "endpoints", "node_first", "relay", "watch"},
    "relay": {"endpoints", "pipe", "probes", "watch", "ways"},
    "balancer": {"apiserver", "watch"},
    "node_first": {"apiserver", "endpoints", "pipe", "ways"},
    "ways": {"apiserver", "endpoints", "pipe", "tunnel"},
    "tunnel": {"pipe"},
    "endpoints": {"watch"},
    "watch": {"apiserver"},
    "apiserver": {"credentials"},
    "busypoll": set(),
    "credentials": set(),
    "pipe": set(),
    "probes": set(),
}
ONLY_IN = {
    "kubernetes": {"kube"},
    "cyclonedx": {"sbom"},
    "docker": {"docker_host", "registry"},
    "cryptography": {"certificates"},
    "typer": {"cli", "cli_forward", "cli_images", "cli_options", "cli_promote", "cli_tls"},
    "rich": {"report"},
    "aiofastnet": {"forwarder", "ways"},
    "picows": {"tunnel"},
}


def imports(module: str) -> set[str]:
    """Return the names of all modules that a module of ours imports, ours without their package."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "devenv":
            found |= {f"devenv.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def ours(module: str) -> set[str]:
    return {name.split(".")[1] for name in imports(module) if name.startswith("devenv.")} - {"__version__"}


def test_every_module_has_its_row() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert modules == {name for row in ROWS for name in row} | set(APART)


def test_imports_point_inwards() -> None:
    for depth, row in enumerate(ROWS):
        inner = {name for later in ROWS[depth + 1 :] for name in later}
        for module in row:
            assert ours(module) <= inner, f"{module} imports {ours(module) - inner}"
    for module, allowed in APART.items():
        assert ours(module) <= allowed


def test_a_heavy_library_has_one_home() -> None:
    for path in PACKAGE.glob("*.py"):
        for library, homes in ONLY_IN.items():
            uses = any(name.split(".")[0] == library for name in imports(path.stem))
            assert not uses or path.stem in homes, f"{path.stem} imports {library}"


def test_help_imports_no_heavy_library() -> None:
    code = "import sys, devenv.cli; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"kubernetes", "docker", "httpx", "yaml", "cryptography", "cyclonedx"} & set(loaded)


def test_the_tool_knows_nothing_of_the_stack() -> None:
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix not in (".pyc", ".sum"):
            text = path.read_text().lower()
            assert not any(word in text for word in ("somabrain", "9696", "55432", "sb-redis")), path
