"""The software bill of materials of an image, as CycloneDX JSON. Equal images have equal bills."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from devenv import __version__
from devenv.images.packages import Contents, Part

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License
    from packageurl import PackageURL

UNRECOGNIZED = "devenv:unrecognized"  # the property that says what of the image is not in the bill
LONGEST_NAME = 120  # of a licence: what is longer is its text


def document(name: str, digest: str, at: datetime, contents: Contents) -> str:
    """Return the bill of an image `REGISTRY/NAME` with this digest: the same for the same arguments."""
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    ref = f"{name}@{digest}"
    image = Component(
        name=name,
        type=ComponentType.CONTAINER,
        version=digest,
        bom_ref=ref,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest.partition(":")[2])],
        # The OCI type of the package URL specification: the last part of the name, and where it is.
        purl=PackageURL("oci", None, name.rpartition("/")[2].lower(), digest, {"repository_url": name.lower()}),
        properties=[Property(name=UNRECOGNIZED, value=contents.gap)] if contents.gap else [],
    )
    tool = Component(name="devenv", version=__version__, type=ComponentType.APPLICATION, bom_ref="devenv")
    parts = [component(url, each) for url, each in by_url(contents).items()]
    bom = Bom(
        components=parts,
        serial_number=uuid5(NAMESPACE_URL, ref),
        metadata=BomMetaData(component=image, timestamp=at, tools=ToolRepository(components=[tool])),
    )
    bom.register_dependency(image, parts)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def by_url(contents: Contents) -> "dict[PackageURL, list[Part]]":
    """Return the parts under their package URLs.

    What is there twice, with other licences or spelt otherwise, is one component: the library would tell two of one
    name apart by random ones.
    """
    found: dict[PackageURL, list[Part]] = {}
    for part in contents.parts:
        found.setdefault(package_url(part, contents.distribution), []).append(part)
    return found


def component(url: "PackageURL", parts: list[Part]) -> "Component":
    from cyclonedx.model.component import Component, ComponentType

    names = dict.fromkeys(licence for part in parts for licence in part.licences)
    return Component(
        name=parts[0].name,
        version=parts[0].version or None,
        type=ComponentType.LIBRARY,
        bom_ref=str(url),
        purl=url,
        licenses=licences(names),
    )


def package_url(part: Part, distribution: tuple[str, str]) -> "PackageURL":
    from packageurl import PackageURL

    if part.kind == "deb":
        system, release = distribution
        qualifiers = {"arch": part.architecture, "distro": f"{system}-{release}" if release else ""}
        return PackageURL("deb", system, part.name, part.version, {k: v for k, v in qualifiers.items() if v})
    space, _, name = part.name.rpartition("/") if part.kind == "golang" else ("", "", part.name)
    return PackageURL(part.kind, space or None, name, part.version or None)


def licences(names: Iterable[str]) -> "list[License]":
    """Return licences by their SPDX names where they have one. An expression stands alone in CycloneDX."""
    from cyclonedx.contrib.license.factories import LicenseFactory

    make = LicenseFactory()
    short = [name for name in names if len(name) <= LONGEST_NAME]
    if len(short) == 1:
        return [make.make_from_string(short[0])]
    return [make.make_with_id(n) if known(n) else make.make_with_name(n) for n in short]


def known(name: str) -> bool:
    from cyclonedx.spdx import fixup_id

    return fixup_id(name) is not None
