"""GET /docs: the OpenAPI document as a page that a browser shows without asking anybody else for scripts."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.routing import BaseRoute

from somabrain.wire import Json

STYLE = "body{font:16px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre{background:#eee;overflow:auto}"


def pretty(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"


def resolved(schema: Json, document: Json) -> Json:
    """The schema itself, where it is a reference to one."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Json = document["components"]["schemas"].get(name, schema) if name else schema
    return found


def examples(content: Json, document: Json) -> list[Any]:
    given = [named["value"] for named in content.get("examples", {}).values()]
    if "example" in content:
        given.append(content["example"])
    return given or list(resolved(content.get("schema", {}), document).get("examples", ()))


def operation(method: str, path: str, told: Json, document: Json) -> str:
    parts = [f"<h2>{method.upper()} {escape(path)}</h2><p><b>{escape(told['summary'])}.</b> "]
    parts.append(f"{escape(told.get('description', ''))}</p>")
    if parameters := told.get("parameters"):
        rows = (
            f"<li><code>{escape(p['name'])}</code> ({p['in']}): {escape(p['description'])}</li>" for p in parameters
        )
        parts.append(f"<ul>{''.join(rows)}</ul>")
    for content in told.get("requestBody", {}).get("content", {}).values():
        parts += [f"<p>Body:</p>{pretty(example)}" for example in examples(content, document)]
    for status, answer in told["responses"].items():
        parts.append(f"<p><code>{status}</code> {escape(answer['description'])}</p>")
        if status == "200":
            parts += [pretty(e) for c in answer.get("content", {}).values() for e in examples(c, document)]
    return "".join(parts)


def page(document: Json) -> str:
    title = escape(document["info"]["title"])
    body = "".join(
        operation(method, path, told, document)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    )
    more = '<p>All of it, types included: <a href="openapi.json">openapi.json</a></p>'
    return f"<!DOCTYPE html><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{more}{body}"


def show_whole_examples(document: Json, routes: Iterable[BaseRoute]) -> None:
    """Put the examples of answers back as they are: FastAPI leaves out every field that is null."""
    for route in routes:
        for answer in getattr(route, "responses", {}).values():
            if model := answer.get("model"):
                shown = model.model_config["json_schema_extra"]["examples"]
                document["components"]["schemas"][model.__name__]["examples"] = shown


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Serve the page, and let the document say what a bearer is."""
    generated = app.openapi

    def openapi() -> Json:
        document = generated()
        show_whole_examples(document, routes)
        document["components"].setdefault("securitySchemes", {"bearer": {"type": "http", "scheme": "bearer"}})
        return document

    app.openapi = openapi  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))
