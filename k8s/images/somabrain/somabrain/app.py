"""The application: the routes, and what they work with, opened at the start and closed at the end."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from somabrain import errors, health, settings
from somabrain.counting import Counting
from somabrain.edge import Edge
from somabrain.health import Health
from somabrain.openapi import page
from somabrain.policy import open_policy
from somabrain.routes import act, adaptation, context, deleting, links, memory, metrics, neuromodulators
from somabrain.service import THREADS, open_service
from somabrain.settings import Settings

ROUTES = (health, metrics, memory, context, adaptation, neuromodulators, act, links, deleting)


def make_app(chosen: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        for doubt in chosen.doubts():
            errors.log.warning(doubt)
        app.state.policy = open_policy(chosen)
        app.state.service, app.state.health = open_service(chosen), Health(chosen, app.state.policy)
        try:
            yield
        finally:
            app.state.health.close()
            app.state.service.close()
            if app.state.policy is not None:
                await app.state.policy.close()

    app = FastAPI(title="SomaBrain", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    errors.install(app)
    routes = [route for module in ROUTES for route in module.router.routes]
    page.install(app, routes)
    app.add_middleware(Edge, settings=chosen)
    for module in ROUTES:
        app.include_router(module.router)
    # The last one added is the first to be asked.
    app.add_middleware(Counting, routes=routes)
    return app


def from_environment() -> FastAPI:
    """What every server process calls."""
    return make_app(settings.load(os.environ))
