"""The page that describes the routes (OpenAPI): what it shows as an example is a request that is served."""

import pytest

from tests.service.live.brain import Brain, Json

PATHS = ("/neuromodulators", "/act", "/plan/suggest", "/link")


def schema(page: Json, at: Json) -> Json:
    """The schema that a body or an answer refers to."""
    name = at["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    found: Json = page["components"]["schemas"][name]
    return found


@pytest.mark.parametrize("path", PATHS)
def test_every_example_is_served_and_answered_in_the_shape_of_the_page(brain: Brain, path: str) -> None:
    page = brain.service.api.get("/openapi.json").json()
    operation = page["paths"][path]["post"]
    assert operation["description"]
    answer = schema(page, operation["responses"]["200"])
    assert all(set(example) == set(answer["properties"]) for example in answer["examples"])
    examples = schema(page, operation["requestBody"])["examples"]
    assert examples
    for example in examples:
        assert set(brain.fine(path, example)) == set(answer["properties"])
