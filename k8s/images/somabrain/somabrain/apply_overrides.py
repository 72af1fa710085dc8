"""Copy a mounted ConfigMap into the app tree: python -m somabrain.apply_overrides SOURCE TARGET.

A ConfigMap key cannot hold a slash, so a key is the dotted path: somabrain.context.py is somabrain/context.py. The
last dot starts the suffix. Names that begin with ".." are the ConfigMap volume's own machinery. What was replaced is
listed in the app tree, from which /health tells it.
"""

import argparse
import shutil
import sys
from pathlib import Path, PurePosixPath

LISTED = ".overridden"  # in the app tree: the files that are not the image's own, one a line


def listed(root: Path) -> list[str]:
    """The files of an app tree that were replaced when its pod started."""
    file = root / LISTED
    return file.read_text().splitlines() if file.exists() else []


def target_of(key: str) -> PurePosixPath:
    """The path, within the app tree, that a key names; ValueError if it names none."""
    stem, _, suffix = key.rpartition(".")
    parts = stem.split(".")
    if not suffix or not all(part.strip() for part in parts) or "/" in key:
        raise ValueError(f"{key}: not a dotted path within the app tree, like somabrain.context.py")
    return PurePosixPath(*parts).with_suffix(f".{suffix}")


def overrides(source: Path) -> list[tuple[Path, PurePosixPath]]:
    """The files of the ConfigMap and where each belongs."""
    files = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith(".."))
    return [(path, target_of(path.name)) for path in files]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m somabrain.apply_overrides", description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    chosen = parser.parse_args()
    try:
        found = overrides(chosen.source)
        root = chosen.target.resolve(strict=True)
        for file, path in found:
            # A symbolic link within the tree could lead out of it.
            if not (root / path).resolve().is_relative_to(root):
                raise ValueError(f"{file.name}: {path} lies outside {root}")
        for file, path in found:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, root / path)
            print(f"{file.name} -> {path}")
        (root / LISTED).write_text("".join(f"{path}\n" for _, path in found))
    except (OSError, ValueError) as error:
        print(f"nothing more was copied: {error}", file=sys.stderr)
        return 1
    print(f"{len(found)} overrides applied")
    return 0


if __name__ == "__main__":
    sys.exit(main())
