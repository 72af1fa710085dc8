"""JSON at the edge: strict when read, compact when written."""

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import from_json

Json = dict[str, Any]
PARSED = "somabrain.json"  # where the scope of a request holds its body, once it has been parsed


class StrictRequest(Request):
    """A request whose body is JSON as `loads` has it."""

    async def json(self) -> Any:
        try:
            return self.scope[PARSED] if PARSED in self.scope else loads(await self.body())
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


class StrictRoute(APIRoute):
    """A route that reads its body as a StrictRequest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


def storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("text must not hold the NUL character")
    return text


def finite(value: Any) -> Any:
    """A JSON value which can be written again: a number beyond the range of a double cannot."""
    dumps(value)
    return value


def shown(**limits: int) -> Any:
    """Limits that are checked later, with 400: the OpenAPI document shows them."""
    return Field(json_schema_extra={**limits})


Text = Annotated[str, AfterValidator(storable)]
TenantId = Annotated[Text, shown(minLength=1, maxLength=128)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Body(BaseModel):
    """A request body: types are not converted, unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


def loads(data: bytes) -> Any:
    """JSON as the standard has it, or ValueError: no NaN, no half of a surrogate pair, no endless nesting."""
    return from_json(data, allow_inf_nan=False)


def dumps(value: Any) -> str:
    """Compact JSON; ValueError for a number that is not finite."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
