"""How a request that cannot be answered is refused: a status and one sentence (contract 1)."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException

from somabrain.embedding import EmptyText

log = logging.getLogger("somabrain")


class Refused(Exception):
    """The answer to a request that ends here."""

    def __init__(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s


def reason(error: BaseException) -> str:
    """The first line of what went wrong, without the SQL and its parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return next(iter(str(cause).strip().splitlines()), "") or type(cause).__name__


def refusal(status: int, detail: str, retry_after_s: int | None = None) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return JSONResponse({"detail": detail}, status, headers)


def validation_details(error: RequestValidationError) -> list[dict[str, object]]:
    """Where and what; never the input itself, which may be what cannot be written as JSON."""
    return [{"type": e["type"], "loc": list(e["loc"]), "msg": e["msg"]} for e in error.errors()]


def install(app: FastAPI) -> None:
    """Answer every known failure as the contract says, and an unknown one with 500 and a traceback in the log."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        if error.status >= 500:
            log.warning("%s %s: %d %s", request.method, request.url.path, error.status, error.detail)
        return refusal(error.status, error.detail, error.retry_after_s)

    @app.exception_handler(EmptyText)
    async def empty(_: Request, error: EmptyText) -> JSONResponse:
        return refusal(400, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": validation_details(error)}, 422)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)

    @app.exception_handler(SQLAlchemyError)
    async def postgres(request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.warning("%s %s: postgres: %s", request.method, request.url.path, reason(error))
        return refusal(503, f"postgres unavailable: {reason(error)}")

    @app.exception_handler(RedisError)
    async def redis(request: Request, error: RedisError) -> JSONResponse:
        log.warning("%s %s: redis: %s", request.method, request.url.path, reason(error))
        return refusal(503, f"redis unavailable: {reason(error)}")

    @app.exception_handler(Exception)
    async def unknown(_: Request, _error: Exception) -> JSONResponse:
        return refusal(500, "internal error")
