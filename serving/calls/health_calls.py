"""Calls about the service itself: does it live, can it decide, what failed, and a first page."""

import html
import shutil
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from features.signals import SECOND
from serving.answer import Json, time_text
from serving.calls.requests import json_response
from serving.calls.security import problem
from serving.champion import InService
from serving.running import Service
from serving.storage.store_file import StoreFailed
from serving.toml_table import did_you_mean

TITLE: Final = "Nextbest"
ABOUT: Final = (
    "The next best communication for each customer, silence included, with reasons. "
    "Every call needs a key, as bearer token or as the user name of basic authentication."
)
# With less than this the store cannot grow by some dozens of decisions.
LEAST_FREE_BYTES: Final = 4 * 2**20
METRICS: Final = ("champion", "failures")
# A trial waits for the disk and for its turn among decisions, and health is asked by many. So late
# at most it is told that the store cannot be written; orchestrators ask about as often.
PROOF_HOLDS: Final = 10 * SECOND


async def livez() -> Response:
    """Whether the process answers at all."""
    return JSONResponse({"status": "alive"})


async def readyz(request: Request) -> Response:
    """Whether decisions can be made: `ready`, `degraded` (fallbacks only) or `unready`.

    Unready while the store cannot be read or written. Ready, and `damaged` names the bundle, if
    the champion on the disk is damaged or missing while another one, or its copy in memory,
    serves; `serves` says which. The note says all that somebody should mend.
    """
    service: Service = request.app.state.service
    try:
        content = await anyio.to_thread.run_sync(readiness, service)
    except Exception as error:  # health is asked exactly when something is wrong
        service.failures.note("not ready", error)
        words = str(error) if isinstance(error, StoreFailed) else "its log says more"
        content = {"status": "unready", "note": words}
    return JSONResponse(content, 503 if content["status"] == "unready" else 200)


def readiness(service: Service) -> dict[str, Json]:
    """What `/readyz` says.

    Raises
    ------
    StoreFailed
        If the store cannot be read.
    """
    serving = service.champion.current()
    unwritable = why_unwritable(service) or why_full(service)
    damage = service.champion.damage()
    status = "unready" if unwritable else "ready" if serving.engine.bundle else "degraded"
    told = (damage_told(damage, serving) or serving.note, serving.mistake, unwritable)
    notes = "; ".join(note for note in told if note)
    content: dict[str, Json] = {"status": status}
    if damage:
        content |= {"damaged": f"sha256:{serving.sha}", "serves": serving.engine.versions.bundle}
    return content | ({"note": notes} if notes else {})


def why_unwritable(service: Service) -> str:
    """Why no decision can be written, in words; tried where that it can was not proved lately."""
    now, last = service.clock(), service.last_written
    if 0 <= now - last.at < PROOF_HOLDS:
        return ""
    why = service.store.why_unwritable()
    if not why:
        last.at = now
    return why


def damage_told(damage: str, serving: InService) -> str:
    """What is wrong on the disk with a champion whose copy in memory serves; else nothing."""
    bundle = serving.engine.bundle
    if not damage or bundle is None or bundle.sha256 != serving.sha:
        return ""
    return (
        f"the champion on the disk is damaged ({damage}); its copy in memory answers until the "
        "service is started again; put its folder back, or run `nextbest train`"
    )


def why_full(service: Service) -> str:
    """Why the disk of the home has too little room, in words; empty if it has enough."""
    free = shutil.disk_usage(service.settings.home).free
    if free >= LEAST_FREE_BYTES:
        return ""
    return (
        f"the disk of the home is full: {free:,} bytes are free; must be at least "
        f"{LEAST_FREE_BYTES:,}; make room"
    )


async def metrics(request: Request) -> Response:
    """Counts since the start, by name: what failed, and what became of the champion."""
    service: Service = request.app.state.service
    name = request.path_params["metric"]
    if name not in METRICS:
        hint = did_you_mean(name, METRICS)
        words = f"there is no metric of this name{hint}; metrics are {', '.join(METRICS)}"
        return problem(404, words)
    found = failures_of if name == "failures" else champion_of
    return json_response({"metric": name, **await anyio.to_thread.run_sync(found, service)})


def failures_of(service: Service) -> dict[str, Json]:
    """What failed and was answered all the same, since when, and how often."""
    return {"since": time_text(service.started_at), **service.failures.record()}


def champion_of(service: Service) -> dict[str, Json]:
    """Which bundle should serve, which does, and whether the first is damaged on the disk."""
    serving, damage = service.champion.current(), service.champion.damage()
    return {
        "champion": None if serving.sha is None else f"sha256:{serving.sha}",
        "serves": serving.engine.versions.bundle,
        "damaged": bool(damage),
        "note": damage,
    }


async def root(request: Request) -> Response:
    """A page for whoever opens the address in a browser."""
    service: Service = request.app.state.service
    about = service.surroundings.about
    people = "The people in it are simulated." if about.simulated else ""
    links = "".join(
        f'<li><a href="{path}">{path}</a>: {words}</li>'
        for path, words in (
            ("/openapi.json", "all calls, for machines"),
            ("/livez", "does the process answer"),
            ("/readyz", "can it decide"),
        )
    )
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{TITLE}</title>'
        f"<h1>{TITLE}</h1><p>{html.escape(ABOUT)}</p>"
        f"<p>Data: {html.escape(about.name)}. {people}</p>"
        "<p>Ask: <code>POST /v1/decisions</code> with "
        '<code>{"customer_id": "..."}</code>, or '
        f"<code>GET /v1/customers/{{id}}/decision</code>.</p><ul>{links}</ul></html>",
        headers={"Cache-Control": "no-store"},
    )
