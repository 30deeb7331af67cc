"""The server: BentoML runs the process, our application answers every HTTP request.

Start it in the serving environment, with `NEXTBEST_HOME` naming the home::

    export BENTOML_DO_NOT_TRACK=True
    python -m bentoml serve serving.service:Nextbest --host 127.0.0.1 --port 3000
"""

import ctypes
import gc
import os
import signal
import sys
from typing import Final

# Before bentoml is imported: it reads this once and would report its use over the network.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from features.home import Home
from serving.calls.api import create_app
from serving.calls.security import problem
from serving.champion import company_engine
from serving.settings import read_settings
from serving.storage.store import Store

CANNOT_START: Final = "the service cannot start; its log says why; mend that and ask again"
PR_SET_PDEATHSIG: Final = 1  # from <sys/prctl.h>


def require_home() -> None:
    """Refuse to start for a home that cannot be served.

    Checked before the worker starts, since BentoML would start a failing worker again and again
    without a word.

    Raises
    ------
    SystemExit
        With status 2, after one line that says what to do.
    """
    try:
        home = Home(read_settings(os.environ).home)
        home.about()
        company_engine(home)
        Store.open(home.store).close()
    except (ValueError, LookupError) as error:
        sys.stderr.write(f"nextbest: {error}\n")
        raise SystemExit(2) from error


def started() -> ASGIApp | None:
    """Our application; None, and a line in the log, if the home cannot be served just now.

    `require_home` looked a moment ago, but a file can be broken in between. It is tried again
    with the next request, so that mending the file is enough.
    """
    try:
        ours = create_app(read_settings(os.environ))
    except (ValueError, LookupError, OSError) as error:
        sys.stderr.write(f"nextbest: cannot start: {error}\n")
        return None
    end_with_parent()
    # What stands now stands until the end. Left to be looked through, it makes a full
    # collection of 0.1 s, in the middle of somebody's request.
    gc.collect()
    gc.freeze()
    return ours


def end_with_parent() -> None:
    """Let the kernel end this worker when the process that started it is gone, even killed.

    A worker left behind would keep the port and go on answering. Linux only.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class OurApplication:
    """Hands every HTTP request to our application; BentoML's own paths are never reached.

    They have no authentication, and one of them is a page that loads scripts from elsewhere.

    Parameters
    ----------
    app : ASGIApp
        BentoML's application; it still sees the start and the end of the process.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._bentoml = app
        self._ours: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection, or one event of the process's life."""
        if self._ours is None:
            self._ours = started()
        if scope["type"] == "lifespan":
            await self._bentoml(scope, receive, send)
        elif self._ours is None:
            await problem(503, CANNOT_START)(scope, receive, send)
        else:
            await self._ours(scope, receive, send)


@bentoml.service(
    name="nextbest",
    workers=1,
    # Short, since BentoML's timers live on until it passes; ours answers within 1.5 s anyway.
    traffic={"timeout": 5},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},  # an access log would hold customers' ids
)
class Nextbest:
    """The next best communication for each customer."""

    check = bentoml.on_deployment(require_home)


Nextbest.add_asgi_middleware(OurApplication)  # type: ignore[attr-defined]
