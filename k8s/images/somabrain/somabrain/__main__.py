"""Serve: python -m somabrain."""

import logging
import os
import sys
from contextlib import ExitStack
from tempfile import TemporaryDirectory

import uvicorn

from somabrain import settings

GRACE_S = 20


def main() -> int:
    try:
        chosen = settings.load(os.environ)
    except settings.SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would tell of every question to OPA
    with ExitStack() as held:
        if chosen.workers > 1:
            # The workers count into files of one folder, new at every start (metrics.MULTIPROCESS).
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = held.enter_context(TemporaryDirectory(prefix="somabrain-"))
        uvicorn.run(
            "somabrain.app:from_environment",
            factory=True,
            host=chosen.host,
            port=chosen.port,
            workers=chosen.workers,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=GRACE_S,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
