"""The crisis switch over HTTP: what is paused, turning a part on, turning it off."""

import anyio
from starlette.requests import Request
from starlette.responses import Response

from serving.calls import schemas
from serving.calls.requests import Refused, checked, content_of, json_response
from serving.calls.security import problem
from serving.pause_looks import Looked, bounded, listed, standing_record
from serving.running import Service
from serving.storage.pauses import InvalidPause, UnknownPause, Wanted


async def pauses(request: Request) -> Response:
    """The parts of the switch that are on or under review, and whom they kept from a message."""
    service: Service = request.app.state.service
    try:
        asked = checked(schemas.PausesRequest, dict(request.query_params))
    except Refused as refused:
        return refused.response
    reach = bounded(asked.first)
    looked = await anyio.to_thread.run_sync(Looked.at, service.store, (), reach)
    return json_response(standing_record(looked))


async def pause(request: Request) -> Response:
    """Turn a part of the switch on or off; the answer says what is on afterwards."""
    service: Service = request.app.state.service
    try:
        asked = checked(schemas.PauseRequest, await content_of(request))
        await anyio.to_thread.run_sync(switched, service, asked)
    except Refused as refused:
        return refused.response
    except InvalidPause as error:
        return problem(422, str(error), (("", "invalid_pause", str(error)),))
    except UnknownPause as error:
        return problem(404, str(error))
    return json_response(listed(await anyio.to_thread.run_sync(service.store.pauses)))


def switched(service: Service, asked: schemas.PauseRequest) -> None:
    """Do what was asked for; once this returns, no call decides against it.

    Raises
    ------
    InvalidPause, UnknownPause
        If it cannot be done.
    """
    require_clear(asked)
    if not asked.on:
        service.store.end_pause(asked.number)
        return
    given = asked.model_dump(exclude={"on", "number"}, exclude_none=True)
    if "allow" in given:
        given["allow"] = tuple(given["allow"])
    service.store.pause(Wanted(**({"reason": ""} | given)))


def require_clear(asked: schemas.PauseRequest) -> None:
    """Refuse a field that would have no say: who narrows must never let everything go.

    Raises
    ------
    InvalidPause
        If a pause to turn on has a number, or one to turn off anything else.
    """
    others = ("reason", "channel", "stage", "flag", "allow")
    idle = [
        name for name in (("number",) if asked.on else others) if getattr(asked, name) is not None
    ]
    if idle and asked.on:
        raise InvalidPause(
            f"number {asked.number} of a pause to turn on; a new one gets its own; leave it out"
        )
    if idle:
        raise InvalidPause(
            f"'{idle[0]}' of a pause to turn off; must be its number, or nothing for all of them; "
            "GET /v1/pause says which are on; nothing was turned off"
        )
