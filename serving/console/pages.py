"""The pages of the console: one handler each, the same for its JSON and its CSV."""

import dataclasses
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from features.home import Home
from features.signals import CUSTOMER_ID_PATTERN, HOUR
from serving.answer import Json, Surroundings, encoded, time_text
from serving.calls.security import SESSION_COOKIE, SIGN_IN
from serving.champion import Champion
from serving.console import words
from serving.console.charts import drawn_shares
from serving.console.customer import UnknownCustomer, customer_page
from serving.console.looking import Looking
from serving.console.models import card, models_page, picture
from serving.console.overview import Look, Lookout, Overview, still_fits
from serving.console.page import HEADERS, html
from serving.console.pauses import pauses_page
from serving.console.people import listed
from serving.console.session import SESSION_HOURS, Sessions
from serving.console.static_files import files
from serving.console.twins import Rows, csv_text
from serving.console.what_if import what_if_page
from serving.contact_policy import told
from serving.profile import UnknownCustomer as NobodyKnown
from serving.storage.api_keys import hash_of_key
from serving.storage.store import Store
from serving.wire import BodyTooLarge, body_of

FORM_COOKIE: Final = "nextbest_form"
HOME: Final = "/app/home"
MOST_FIELDS: Final = 10
IN_CONSOLE: Final = re.compile(r"/app/[A-Za-z0-9_.:@/?=&%-]*")
CUSTOMER_ID: Final = re.compile(CUSTOMER_ID_PATTERN)


class Served(Protocol):
    """What the console needs of the service."""

    @property
    def store(self) -> Store:
        """The open store."""
        ...

    @property
    def champion(self) -> Champion:
        """What serves."""
        ...

    @property
    def surroundings(self) -> Surroundings:
        """The data set and its currency."""
        ...

    def now(self) -> int:
        """The data set's own present, microseconds UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Console:
    """The pages of one service."""

    service: Served
    home: Home
    sessions: Sessions
    lookout: Lookout = field(default_factory=Lookout)

    def looking(self) -> Looking:
        """From where a page looks: the engine in service, at the data's present."""
        serving = self.service.champion.current()
        store, around = self.service.store, self.service.surroundings
        return Looking(store, serving.engine, around, self.service.now(), serving.note)

    def everybody(self, looking: Looking) -> Look:
        """The overview of this hour and this engine, or the last one before."""
        versions = looking.engine.versions
        hour = str(looking.as_of // HOUR)
        paused = ",".join(str(pause.number) for pause in looking.store.pauses())
        return self.lookout.latest(
            (versions.bundle, versions.catalog, versions.policy, hour, paused),
            looking,
            self.sessions.clock(),
        )

    def routes(self) -> list[BaseRoute]:
        """Every path below /app; those with twins have three."""
        return [
            Mount(
                "/app",
                routes=[
                    Route("/", self.start),
                    Route("/sign-in", self.sign_in),
                    Route("/sign-in", self.take_key, methods=["POST"]),
                    Route("/sign-out", self.sign_out, methods=["POST"]),
                    Route("/static/{name}", self.static),
                    *with_twins("/home", self.front),
                    *with_twins("/customers", self.customers),
                    *with_twins("/customers/{customer_id}/why", self.customer),
                    *with_twins("/customers/{customer_id}/what-if", self.what_if),
                    Route("/customers/{customer_id}", self.to_customer),
                    Route("/models/beeswarm/{sha}/{target}.svg", self.beeswarm),
                    Route("/models/card/{sha}.html", self.card),
                    *with_twins("/models", self.models),
                    *with_twins("/pauses", self.pauses),
                    Route("/{rest:path}", self.nowhere),
                ],
            )
        ]

    # ---- Coming in and going out -----------------------------------------------------------

    def start(self, request: Request) -> Response:
        """The first page."""
        return RedirectResponse(HOME, 303, HEADERS)

    def sign_in(self, request: Request) -> Response:
        """The page that asks for the key."""
        self.everybody(self.looking())  # while somebody types, everybody is looked at
        return self._asks_for_key(request, request.query_params.get("next", ""))

    async def take_key(self, request: Request) -> Response:
        """Open a session with a key, and go where one wanted to go."""
        try:
            body = await body_of(request.stream(), request.headers.get("content-length"))
        except BodyTooLarge:
            return self._asks_for_key(request, "", "This form is too long.", 413)
        form = fields_of(body)
        wanted = form.get("next", "")
        cookie = request.cookies.get(FORM_COOKIE, "")
        if not self.sessions.form_is_ours(cookie, form.get("token", "")):
            return self._asks_for_key(request, wanted, "This form has expired. Try again.", 403)
        key = form.get("key", "").strip()
        if not self.service.store.key_is_known(key):
            return self._asks_for_key(request, wanted, "This key is not known here.", 401)
        to = wanted if safe_target(wanted) else HOME
        response = RedirectResponse(to, 303, HEADERS)
        session = self.sessions.opened(hash_of_key(key))
        keep(response, SESSION_COOKIE, session, request, SESSION_HOURS * 3600)
        response.delete_cookie(FORM_COOKIE, path="/app")
        return response

    async def sign_out(self, request: Request) -> Response:
        """Forget the session, if the form is ours."""
        response = RedirectResponse(SIGN_IN, 303, HEADERS)
        try:
            body = await body_of(request.stream(), request.headers.get("content-length"))
        except BodyTooLarge:
            return response
        form = fields_of(body)
        cookie = request.cookies.get(SESSION_COOKIE, "")
        if self.sessions.form_is_ours(cookie, form.get("token", "")):
            response.delete_cookie(SESSION_COOKIE, path="/app")
        return response

    def _asks_for_key(
        self, request: Request, wanted: str, wrong: str = "", status: int = 200
    ) -> Response:
        cookie = secrets.token_urlsafe(16)
        content = {
            **self._frame(request, "Sign in"),
            "signed_in": False,
            "token": self.sessions.form_token(cookie),
            "next": wanted if safe_target(wanted) else "",
            "wrong": wrong,
        }
        response = Response(html("sign_in.html", content), status, HEADERS, "text/html")
        keep(response, FORM_COOKIE, cookie, request, 3600)
        return response

    def static(self, request: Request) -> Response:
        """A file of ours; by its hashed name it may be kept for ever."""
        found = files().get(request.path_params["name"])
        if found is None:
            return Response("there is no such file", 404, media_type="text/plain")
        content, media_type, rule = found
        return Response(content, headers={"Cache-Control": rule}, media_type=media_type)

    # ---- Pages -----------------------------------------------------------------------------

    def front(self, request: Request) -> Response:
        """Home, which asks what needs attention today."""
        looking = self.looking()
        look = self.everybody(looking)
        found = look.overview
        content = {**self._frame(request, "Home"), "overview": None, "people": ()}
        content["mistake"] = self.service.champion.last.mistake
        content["pauses"] = [told(pause) for pause in looking.store.pauses()]
        content["progress"] = look.progress
        if found is None:
            seen, of = (0, 0) if look.progress is None else (look.progress.seen, look.progress.of)
            record: dict[str, Json] = {"counted": seen, "of": of}
            return self._shown(request, "home.html", content, (record, Rows(("counted",), ())))
        people = [
            (one, customer_page(one.customer_id, looking))
            if one.customer_id is not None and still_fits(one, looking)
            else (one, None)
            for one in found.people
        ]
        mix = [(looking.title(name), count) for name, count in found.communications]
        content |= {
            "overview": found,
            "counted_at": time_text(look.looked_at),
            "people": people,
            "mix": mix,
            "mix_picture": drawn_shares(mix, "How many would hear what today"),
            "stages_picture": drawn_shares(
                [(words.plain(name), count) for name, count in found.stages], "Customers by stage"
            ),
        }
        return self._shown(
            request, "home.html", content, (home_record(found, look), home_rows(found, look))
        )

    def customers(self, request: Request) -> Response:
        """Some customers by the start of their id; a form that works with and without script."""
        looking, start = self.looking(), request.query_params.get("id", "").strip()
        found = listed(looking, start)
        content = {
            **self._frame(request, "Customers"),
            "start": start,
            "found": found,
            "fits": not start or bool(CUSTOMER_ID.fullmatch(start)),
        }
        return self._shown(request, "customers.html", content, (found.record(), found.rows()))

    def to_customer(self, request: Request) -> Response:
        """The short address of a customer leads to their page."""
        return RedirectResponse(f"{request.url.path}/why", 307, HEADERS)

    def customer(self, request: Request) -> Response:
        """One customer, and why this person gets this message."""
        customer_id = request.path_params["customer_id"]
        try:
            found = customer_page(customer_id, self.looking())
        except UnknownCustomer as error:
            return self._missing(request, "Customers", str(error))
        content = {**self._frame(request, "Customers"), "page": found}
        return self._shown(request, "customer.html", content, (found.record(), found.rows()))

    def what_if(self, request: Request) -> Response:
        """What the models would say of one customer who differed; a form without a script."""
        customer_id = request.path_params["customer_id"]
        try:
            found = what_if_page(customer_id, dict(request.query_params), self.looking())
        except NobodyKnown as error:
            return self._missing(request, "Customers", str(error))
        content = {**self._frame(request, "Customers"), "page": found}
        status = 422 if found.wrong else 200
        return self._shown(request, "what_if.html", content, (found.record(), found.rows()), status)

    def nowhere(self, request: Request) -> Response:
        """Any other path below /app."""
        return self._missing(request, "Not found", "There is no page at this address")

    def _missing(self, request: Request, here: str, detail: str) -> Response:
        content = {**self._frame(request, here), "detail": detail}
        twins: tuple[dict[str, Json], Rows] = ({"detail": detail}, Rows(("detail",), ((detail,),)))
        return self._shown(request, "missing.html", content, twins, 404)

    def models(self, request: Request) -> Response:
        """The models, and whether this version can be trusted."""
        found = models_page(self.looking(), self.home)
        content = {**self._frame(request, "Models"), "page": found}
        return self._shown(request, "models.html", content, (found.record(), found.rows()))

    def pauses(self, request: Request) -> Response:
        """What is paused or under review, and whom it kept from a message."""
        found = pauses_page(self.looking(), request.query_params.get("first", ""))
        content = {**self._frame(request, "Pauses"), "page": found}
        return self._shown(request, "pauses.html", content, (found.record(), found.rows()))

    def beeswarm(self, request: Request) -> Response:
        """A picture that training drew, of the bundle in service."""
        sha, target = request.path_params["sha"], request.path_params["target"]
        found = picture(self.looking(), self.home, sha, target)
        if found is None:
            return Response("there is no such picture", 404, media_type="text/plain")
        # Looked at by itself it may style itself, and do nothing else.
        rule = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        return Response(found, 200, {**HEADERS, "Content-Security-Policy": rule}, "image/svg+xml")

    def card(self, request: Request) -> Response:
        """The model card that training wrote, of the bundle in service."""
        found = card(self.looking(), self.home, request.path_params["sha"])
        if found is None:
            return Response("there is no such card", 404, media_type="text/plain")
        rule = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
        return Response(found, 200, {**HEADERS, "Content-Security-Policy": rule}, "text/html")

    # ---- What all pages share --------------------------------------------------------------

    def _frame(self, request: Request, here: str) -> dict[str, object]:
        about, engine = self.service.surroundings.about, self.service.champion.last.engine
        cookie = request.cookies.get(SESSION_COOKIE, "")
        path = request.url.path
        query = urlencode(dict(request.query_params))
        return {
            "here": here,
            "about": about,
            "currency": self.service.surroundings.currency,
            "as_of": time_text(self.service.now()),
            "bundle": "" if engine.bundle is None else engine.bundle.sha256,
            "note": self.service.champion.last.note,
            "signed_in": bool(cookie),
            "token": self.sessions.form_token(cookie) if cookie else "",
            "twin": lambda kind: f"{path}.{kind}" + (f"?{query}" if query else ""),
        }

    def _shown(
        self,
        request: Request,
        template: str,
        content: Mapping[str, object],
        twins: tuple[Mapping[str, Json], Rows],
        status: int = 200,
    ) -> Response:
        """The page, or the twin that was asked for by the end of its path."""
        record, rows = twins
        if request.url.path.endswith(".json"):
            about = self.service.surroundings.about
            frame = {"data": about.name, "simulated": about.simulated, "as_of": content["as_of"]}
            body = encoded({**frame, **record})  # type: ignore[dict-item]
            return Response(body, status, HEADERS, "application/json")
        if request.url.path.endswith(".csv"):
            text = csv_text(rows)
            return Response(text, status, HEADERS, "text/csv; charset=utf-8; header=present")
        return Response(html(template, content), status, HEADERS, "text/html")


def with_twins(path: str, handler: object) -> list[Route]:
    """A page and its twins: the same path with `.json` and `.csv`."""
    return [Route(path + end, handler) for end in ("", ".json", ".csv")]  # type: ignore[arg-type]


def keep(response: Response, name: str, value: str, request: Request, seconds: int) -> None:
    """A cookie for the console alone: no script reads it, no other site sends it."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/app",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of a form; none if there are more than any form of ours has."""
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS))
    except ValueError:
        return {}


def safe_target(path: str) -> bool:
    """Whether a path leads to a page of ours and to no other site."""
    return bool(IN_CONSOLE.fullmatch(path)) and "//" not in path


def home_record(found: Overview, look: Look) -> dict[str, Json]:
    """The JSON twin of Home; `outdated`: something changed since everybody was looked at."""
    return {
        "counted_at": time_text(look.looked_at),
        "outdated": look.progress is not None,
        "known": found.known,
        "looked_at": found.looked_at,
        "totals": [dataclasses.asdict(one) for one in found.totals],
        "stages": dict(found.stages),
        "flags": dict(found.flags),
        "communications": dict(found.communications),
        "people": [{"kind": one.kind, "customer_id": one.customer_id} for one in found.people],
    }


def home_rows(found: Overview, look: Look) -> Rows:
    """The CSV twin of Home: a count a row."""
    rows: list[tuple[str | float | None, ...]] = [
        ("counted", "at", time_text(look.looked_at)),
        ("counted", "outdated", int(look.progress is not None)),
        ("customers", "known", found.known),
    ]
    rows += [("high", one.score, one.high) for one in found.totals]
    for kind, counts in (
        ("stage", found.stages),
        ("flag", found.flags),
        ("communication", found.communications),
    ):
        rows += [(kind, name, count) for name, count in counts]
    rows += [("person", one.kind, one.customer_id) for one in found.people]
    return Rows(("what", "name", "value"), tuple(rows))
