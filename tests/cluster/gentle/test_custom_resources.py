"""Objects of kinds that the manifests themselves define."""

from collections.abc import Iterator

import pytest

from tests.cluster.environment import Environment
from tests.waiting import eventually

DEFINITION = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {plural}.tests.example.com
spec:
  group: tests.example.com
  scope: {scope}
  names: {{kind: {kind}, plural: {plural}}}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""
OBJECT = "apiVersion: tests.example.com/v1\nkind: {kind}\nmetadata:\n  name: {name}\nspec: {{size: 1}}\n"
KINDS = {"Widget": ("widgets", "Namespaced"), "Gadget": ("gadgets", "Cluster")}


@pytest.fixture
def defined(stack: Environment) -> Iterator[Environment]:
    stack.edit("k8s/overlays/dev/kustomization.yaml", "patches:", "  - custom.yaml\npatches:")
    yield stack
    undefine(stack)


def undefine(stack: Environment) -> None:
    definitions = [f"customresourcedefinition/{plural}.tests.example.com" for plural, _ in KINDS.values()]
    stack.kubectl("delete", *definitions, "--ignore-not-found")


def test_definitions_and_their_objects_come_in_one_up_and_a_dropped_object_is_pruned(defined: Environment) -> None:
    definitions = [DEFINITION.format(kind=k, plural=p, scope=s) for k, (p, s) in KINDS.items()]
    objects = [OBJECT.format(kind=kind, name=f"a-{kind.lower()}") for kind in KINDS]
    spare = OBJECT.format(kind="Widget", name="spare")
    file = defined.root / "k8s/overlays/dev/custom.yaml"
    file.write_text("---\n".join([*definitions, *objects, spare]))
    defined.fine("up")
    assert defined.plan() == ""
    assert defined.kubectl("get", "gadgets", "-o", "name") == "gadget.tests.example.com/a-gadget\n"

    file.write_text("---\n".join(objects))  # the definitions too: with them everybody's objects would go
    assert defined.plan() == "delete widget/spare: no longer in the manifests; devenv applied it for this environment\n"
    defined.fine("up")
    widgets = ("-n", "somabrain-prod", "get", "widgets", "-o", "name")
    eventually(lambda: defined.kubectl(*widgets) == "widget.tests.example.com/a-widget\n")
    assert defined.plan() == ""

    undefine(defined)  # a kind that was served a moment ago
    assert defined.plan() == (
        "objects: gadget/a-gadget, widget/a-widget: is not in the cluster\n"
        "ready gadget/a-gadget: was just applied\nready widget/a-widget: was just applied\n"
    )
