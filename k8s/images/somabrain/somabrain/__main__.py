"""Serve: python -m somabrain."""

import logging
import os
import sys
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn

from somabrain import reloading, settings

GRACE_S = 20
APP = "somabrain.app:from_environment"
SERVED: dict[str, Any] = {
    "factory": True, "access_log": False, "log_config": None, "timeout_graceful_shutdown": GRACE_S,
}  # fmt: skip


def main() -> int:
    try:
        chosen = settings.load(os.environ)
    except settings.SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would tell of every question to OPA
    if chosen.reload and not reloading.is_child(os.environ):
        return reloading.Parent(uvicorn.Config("", host=chosen.host, port=chosen.port).bind_socket()).run()
    with ExitStack() as held:
        if chosen.workers > 1:
            # The workers count into files of one folder, new at every start (metrics.MULTIPROCESS).
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = held.enter_context(TemporaryDirectory(prefix="somabrain-"))
        if chosen.reload:
            reloading.serve_as_child(uvicorn.Config(APP, **SERVED))
        else:
            uvicorn.run(APP, host=chosen.host, port=chosen.port, workers=chosen.workers, **SERVED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
