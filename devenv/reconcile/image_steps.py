"""The part of a plan that brings images to the Docker host and to the nodes. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from devenv.images.graph import Image
from devenv.project.stack import Stack
from devenv.reconcile.actions import LoadImage, ObtainImage, Step
from devenv.reconcile.observed import Observed


def obtain_steps(desired: Stack, observed: Observed, names: Iterable[str]) -> Iterator[Step]:
    """Yield the steps that bring images to the Docker host, each after those that it is built from."""
    for name in obtained(desired.images, observed, names):
        image = desired.images[name]
        pull = is_pulled(image, observed)
        how = pulling(image) if pull else f"building it from {folder_name(image)}"
        needs = () if pull else tuple(f"image {base}" for base in image.bases)
        action = ObtainImage(image, desired.images, pull)
        yield Step(f"image {name}", action, f"{image.tag} is not on this host; {how}", 3600, needs)


def load_steps(desired: Stack, on_node: Collection[str], names: Iterable[str]) -> Iterator[Step]:
    """Yield the steps that bring images from the Docker host to where the nodes take them from."""
    for name in names:
        image, target = desired.images[name], desired.ref(name)
        if target not in on_node:
            action = LoadImage(image, target, desired.aliases.get(name, ()))
            cause = f"{image.tag} {desired.delivery.lack}"
            yield Step(f"{desired.delivery.verb} {name}", action, cause, 300, ("cluster", f"image {name}"))


def pulling(image: Image) -> str:
    """Say that an image is pulled, and that what was changed in its folder does not run, though its tag is new."""
    unused = f"; its folder {folder_name(image)} is not built" if image.source.folder else ""
    return f"pulling {image.source.pull}{unused}"


def folder_name(image: Image) -> str:
    return image.source.folder.name if image.source.folder else "nothing"


def is_pulled(image: Image, observed: Observed) -> bool:
    return image.source.folder is None or bool(image.source.pull and observed.registries.get(image.source.pull))


def obtained(images: Mapping[str, Image], observed: Observed, roots: Iterable[str]) -> list[str]:
    """Return the images to obtain: those not on the host, and for a built one its bases likewise."""
    found: dict[str, None] = {}
    for name in roots:
        image = images[name]
        if image.ref in observed.host_images:
            continue
        if not is_pulled(image, observed):
            found.update(dict.fromkeys(obtained(images, observed, image.bases)))
        found[name] = None
    return list(found)
