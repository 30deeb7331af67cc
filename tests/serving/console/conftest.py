"""A home whose every text tries to run, served in this process."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn
from fastapi import FastAPI

from features.home import About, Home
from serving.champion import SHIPPED_REASONS

PAYLOADS = (
    "<script>document.title='ran'</script>",
    '"><img src=x onerror="document.title=1">',
    "'><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "</style></title><script>alert(1)</script>",
)


@dataclass(frozen=True)
class Site:
    """A running server, and the key that opens it."""

    app: FastAPI
    address: str
    key: str


def hostile(home: Home) -> Home:
    """The same home with payloads in every text that a company may write."""
    home.write_about(About("Beans " + "".join(PAYLOADS), "data_end", simulated=True))
    from serving import catalog

    shipped = catalog.SHIPPED.read_text(encoding="utf-8")
    title = "Tell us " + PAYLOADS[0].replace('"', "'")
    home.catalog.write_text(
        shipped.replace('title = "Newsletter with news and ideas"', f'title = "{title}"').replace(
            'title = "Tips to get the most out of your purchase"',
            "title = '''" + PAYLOADS[1] + "'''",
        ),
        encoding="utf-8",
    )
    reasons = SHIPPED_REASONS.read_text(encoding="utf-8")
    home.reasons.write_text(
        reasons.replace('rest = "', 'rest = "<script>alert(2)</script> '), encoding="utf-8"
    )
    return home


@pytest.fixture
def hostile_home(home: Home) -> Home:
    return hostile(home)


@pytest.fixture
def site(app: FastAPI) -> Iterator[Site]:
    yield from running(app)


def running(app: FastAPI) -> Iterator[Site]:
    """Serve on a free port of this machine until the test is over."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    started = threading.Event()
    thread = threading.Thread(target=lambda: (started.set(), server.run()), daemon=True)
    thread.start()
    started.wait(10)
    for _ in range(2000):
        if server.started:
            break
        threading.Event().wait(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(app, f"http://127.0.0.1:{port}", app.state.service.store.new_key("browser"))
    server.should_exit = True
    thread.join(20)
