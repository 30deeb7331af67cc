"""The pages, asked in-process: who gets in, what they say, and their twins."""

import asyncio
import csv
import hashlib
import io
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from features.home import Home
from features.signals import DAY
from models.evaluation import (
    CalibrationBin,
    Estimate,
    Evaluation,
    LiftTenth,
    ModelFigures,
    TargetEvaluation,
    beeswarm_file,
    report_folder,
    save_evaluation,
)
from serving.calls.api import create_app
from serving.calls.security import SESSION_COOKIE
from serving.console import overview, static_files
from serving.console.looking import Looking
from serving.console.page import POLICY
from serving.console.session import SECRET_FILE
from serving.settings import Settings
from serving.storage.consents import ConsentLike
from serving.storage.pauses import Wanted

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
PAGES = (
    *("/app/home", "/app/customers", "/app/models", "/app/customers/C-lapsing/why"),
    "/app/pauses",
)
Browse = Callable[..., httpx.Response]


class Visitor:
    """Somebody with a browser: keeps cookies, follows nothing by itself."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self.cookies = app, httpx.Cookies()

    def __call__(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://test", cookies=self.cookies
            ) as client:
                headers = BROWSER | request.pop("headers", {})
                found = await client.request(method, path, headers=headers, **request)
                self.cookies = client.cookies
                return found

        return asyncio.run(answer())

    def sign_in(self, key: str, following: str = "") -> httpx.Response:
        page = self("GET", "/app/sign-in" + (f"?next={following}" if following else ""))
        form = dict(re.findall(r'name="(token|next)" value="([^"]*)"', page.text))
        return self("POST", "/app/sign-in", data={**form, "key": key})


@pytest.fixture
def visitor(app: FastAPI) -> Visitor:
    return Visitor(app)


@pytest.fixture
def inside(app: FastAPI, visitor: Visitor) -> Visitor:
    key = app.state.service.store.new_key("marketer")
    assert visitor.sign_in(key).status_code == 303
    return visitor


def counted(inside: Visitor) -> httpx.Response:
    """Home, once everybody has been looked at."""
    for _ in range(400):
        page = inside("GET", "/app/home")
        if "Looking at everybody" not in page.text:
            return page
        time.sleep(0.01)
    raise AssertionError("nobody finished looking")


def test_home_says_what_is_paused(inside: Visitor, app: FastAPI) -> None:
    assert "Paused:" not in counted(inside).text
    store = app.state.service.store
    store.pause(Wanted("<fire>", stage="lapsed"))
    page = counted(inside).text
    assert "<strong>Paused:</strong> stage lapsed: &lt;fire&gt;." in page
    store.end_pause()
    assert "Paused:" not in counted(inside).text


def test_after_a_change_home_shows_the_last_look_with_its_time(
    inside: Visitor, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = counted(inside).text
    assert "Customers</h2>" in before
    go_on, look = threading.Event(), overview.overview

    def slow(looking: Looking, seen: Callable[[int, int], None]) -> overview.Overview:
        assert go_on.wait(20)
        return look(looking, seen)

    monkeypatch.setattr(overview, "overview", slow)
    app.state.service.store.pause(Wanted("fire"))
    try:
        page = inside("GET", "/app/home")
        record = inside("GET", "/app/home.json").json()
        rows = inside("GET", "/app/home.csv").text
    finally:
        go_on.set()
    assert "Looking at everybody again:" in page.text
    assert f"What is counted below is of {record['counted_at']}, before the last" in page.text
    assert "Customers</h2>" in page.text  # the last look, and at once
    assert "<strong>Paused:</strong>" in page.text
    assert record["outdated"] is True
    assert "counted,outdated,1" in rows
    assert "Looking at everybody" not in counted(inside).text
    assert inside("GET", "/app/home.json").json()["outdated"] is False


# ---- Coming in ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/app"])
def test_a_browser_finds_home_from_the_bare_address(
    app: FastAPI, visitor: Visitor, path: str
) -> None:
    """Its session is shown to the console alone, so it is sent there, and signs in once."""
    to = visitor("GET", path).headers["location"]
    assert to == "/app/home"
    assert visitor("GET", to).headers["location"] == "/app/sign-in?next=%2Fapp%2Fhome"
    visitor.sign_in(app.state.service.store.new_key("marketer"))
    response = visitor("GET", path)
    assert (response.status_code, response.headers["location"]) == (303, "/app/home")
    assert visitor("GET", to).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_a_browser_without_a_session_is_led_to_the_sign_in(visitor: Visitor, path: str) -> None:
    response = visitor("GET", path)
    assert response.status_code == 303
    assert response.headers["location"].startswith("/app/sign-in")


@pytest.mark.parametrize("path", [*PAGES, *(f"{path}.json" for path in PAGES), "/v1/models"])
def test_a_program_without_a_key_is_refused(visitor: Visitor, path: str) -> None:
    assert visitor("GET", path, headers={"Accept": "*/*"}).status_code == 401


def test_signing_in_leads_back_to_where_one_wanted_to_go(app: FastAPI, visitor: Visitor) -> None:
    wanted = visitor("GET", "/app/customers?id=C-l").headers["location"]
    assert wanted == "/app/sign-in?next=%2Fapp%2Fcustomers%3Fid%3DC-l"
    key = app.state.service.store.new_key("marketer")
    response = visitor.sign_in(f" {key} ", wanted.partition("next=")[2])
    assert (response.status_code, response.headers["location"]) == (303, "/app/customers?id=C-l")
    [session] = [c for c in response.headers.get_list("set-cookie") if SESSION_COOKIE in c]
    for word in ("HttpOnly", "SameSite=strict", "Path=/app", "Max-Age=43200"):
        assert word in session
    assert key not in session
    assert visitor("GET", "/app/customers").status_code == 200


@pytest.mark.parametrize(
    "elsewhere",
    [
        *("//evil.example", "https://evil.example", "/app//evil.example", "/v1/models"),
        *("/app/\\\\evil.example", "/app/\r\nSet-Cookie: x=y"),
    ],
)
def test_no_other_site_is_led_to(app: FastAPI, visitor: Visitor, elsewhere: str) -> None:
    key = app.state.service.store.new_key("marketer")
    [token] = re.findall(r'name="token" value="([^"]*)"', visitor("GET", "/app/sign-in").text)
    form = {"token": token, "next": elsewhere, "key": key}
    response = visitor("POST", "/app/sign-in", data=form)
    assert (response.status_code, response.headers["location"]) == (303, "/app/home")


def test_a_wrong_key_opens_nothing(visitor: Visitor) -> None:
    response = visitor.sign_in("nb_wrong")
    assert response.status_code == 401
    assert "This key is not known here." in response.text
    assert "nb_wrong" not in response.text
    assert SESSION_COOKIE not in response.headers.get("set-cookie", "")


def test_a_form_of_another_site_is_refused(app: FastAPI, visitor: Visitor) -> None:
    key = app.state.service.store.new_key("marketer")
    response = visitor("POST", "/app/sign-in", data={"key": key, "token": "0" * 64})
    assert response.status_code == 403
    assert SESSION_COOKIE not in visitor.cookies


def test_a_session_opens_pages_and_not_the_interface(inside: Visitor, app: FastAPI) -> None:
    assert inside("GET", "/app/models").status_code == 200
    assert inside("GET", "/v1/models").status_code == 401
    cookie = {"Cookie": f"{SESSION_COOKIE}={inside.cookies[SESSION_COOKIE]}"}
    asked = inside("POST", "/v1/decisions", json={"customer_id": "C-new"}, headers=cookie)
    assert asked.status_code == 401
    assert app.state.service.store.decision_count() == 0


def test_revoking_the_key_ends_the_session(inside: Visitor, app: FastAPI) -> None:
    app.state.service.store.revoke_keys("marketer")
    assert inside("GET", "/app/models").status_code == 303


def test_signing_out_takes_our_form_only(inside: Visitor) -> None:
    page = inside("GET", "/app/models").text
    inside("POST", "/app/sign-out", data={"token": "0" * 64})
    assert inside("GET", "/app/models").status_code == 200
    [token] = re.findall(r'name="token" value="([^"]*)"', page)
    assert inside("POST", "/app/sign-out", data={"token": token}).status_code == 303
    assert inside("GET", "/app/models").status_code == 303


@pytest.mark.parametrize("content", [b"x" * 70_000, b"&".join([b"a=1"] * 11), b"\xff=%ff"])
def test_a_strange_form_signs_nobody_out(inside: Visitor, content: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert inside("POST", "/app/sign-out", content=content, headers=headers).status_code == 303
    assert inside("GET", "/app/models").status_code == 200


def test_a_form_of_many_fields_is_refused(visitor: Visitor) -> None:
    response = visitor("POST", "/app/sign-in", content=b"&".join([b"a=1"] * 11))
    assert response.status_code == 403
    assert "This form has expired" in response.text


def test_a_too_long_form_is_refused(visitor: Visitor) -> None:
    response = visitor("POST", "/app/sign-in", content=b"key=" + b"x" * 70_000)
    assert response.status_code == 413


def test_a_key_opens_the_twins_without_a_session(app: FastAPI, visitor: Visitor) -> None:
    key = app.state.service.store.new_key("notebook")
    headers = {"Authorization": f"Bearer {key}", "Accept": "*/*"}
    found = visitor("GET", "/app/customers/C-new/why.json", headers=headers).json()
    assert found["answer"]["customer_id"] == "C-new"


# ---- What they say -----------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_its_policy_and_its_twins(inside: Visitor, path: str) -> None:
    page = counted(inside) if path == "/app/home" else inside("GET", path)
    assert page.status_code == 200
    assert page.headers.get_list("content-security-policy") == [POLICY]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "private, no-store"
    assert "Simulated." in page.text
    assert "style=" not in page.text
    for kind, media_type in (("json", "application/json"), ("csv", "text/csv")):
        assert f'href="{path}.{kind}"' in page.text
        twin = inside("GET", f"{path}.{kind}")
        assert twin.headers["content-type"].startswith(media_type)
        if kind == "json":
            assert twin.json()["data"] == "A shop for tests"
            assert twin.json()["as_of"] == "2026-11-01T00:00:00Z"
        else:
            assert len({len(row) for row in csv.reader(io.StringIO(twin.text))}) == 1


def test_the_answer_of_the_page_is_the_one_a_call_would_get(app: FastAPI, inside: Visitor) -> None:
    before = inside("GET", "/app/customers/C-lapsing/why.json").json()
    assert (before["standing"], app.state.service.store.decision_count()) == (False, 0)
    key = app.state.service.store.new_key("crm")
    headers = {"Authorization": f"Bearer {key}"}
    asked = inside("POST", "/v1/decisions", json={"customer_id": "C-lapsing"}, headers=headers)
    answer = asked.json()
    assert answer["decision_id"]
    after = inside("GET", "/app/customers/C-lapsing/why.json").json()
    assert after["standing"] is True
    assert after["answer"] == answer
    assert answer["decision_id"] in inside("GET", "/app/customers/C-lapsing/why").text


def test_a_customer_reads_in_words(inside: Visitor) -> None:
    text = inside("GET", "/app/customers/C-lapsing/why").text
    assert "Silent for longer than usual." in text
    assert re.search(
        r"Of 100 customers like this, about 30 placed no order in the next \d+ days", text
    )
    assert "Ordered: 40.00 EUR" in text
    assert "Worth more than silence" in text
    assert "Refused, and what would let it through" in text


def test_somebody_unknown_is_not_found(inside: Visitor) -> None:
    for path in ("/app/customers/nobody/why", "/app/customers/%3Cscript%3E/why"):
        page = inside("GET", path)
        assert page.status_code == 404
        assert "<script>" not in page.text.replace('<script src="', "")
    assert "nobody" in inside("GET", "/app/customers/nobody/why.json").json()["detail"]
    assert inside("GET", "/app/customers/nobody").headers["location"].endswith("/nobody/why")


def test_customers_are_found_by_the_start_of_their_id(inside: Visitor) -> None:
    found = inside("GET", "/app/customers.json?id=C-l").json()
    assert [one["customer_id"] for one in found["customers"]] == ["C-lapsing"]
    assert inside("GET", "/app/customers.json?id=%25").json()["customers"] == []
    assert len(inside("GET", "/app/customers.json").json()["customers"]) == 3
    assert "Nobody" in inside("GET", "/app/customers?id=<b>").text
    assert "<b>" not in inside("GET", "/app/customers?id=<b>").text


def test_an_objector_is_shown_without_scores(app: FastAPI, inside: Visitor) -> None:
    class Objection(ConsentLike):
        customer_id, channel, purpose, given = "C-new", "", "", False
        evidence, objection = "letter", True
        occurred_at = received_at = app.state.service.now() - DAY

    app.state.service.store.put_consent_changes([Objection()])
    page = inside("GET", "/app/customers/C-new/why")
    assert "Whoever objected to marketing is not scored." in page.text
    assert inside("GET", "/app/customers/C-new/why.json").json()["answer"]["scores"] == {}


def test_home_counts_everybody_once_and_logs_nothing(app: FastAPI, inside: Visitor) -> None:
    page = counted(inside)
    assert "Six people who show the range" in page.text
    assert page.text.count("Nobody today.") >= 1
    found = inside("GET", "/app/home.json").json()
    assert (found["known"], found["looked_at"]) == (3, 3)
    assert sum(found["stages"].values()) == sum(found["communications"].values()) == 3
    assert len(found["people"]) == 6
    assert app.state.service.store.decision_count() == 0
    start = time.perf_counter()
    inside("GET", "/app/home")
    assert time.perf_counter() - start < 1


def test_without_a_bundle_every_page_says_so(home: Home) -> None:
    bundles = list(home.bundles.iterdir())
    (bundles[0] / "manifest.json").unlink()
    app = create_app(Settings(home.path), rng=np.random.default_rng(7))
    visitor = Visitor(app)
    visitor.sign_in(app.state.service.store.new_key("marketer"))
    assert counted(visitor).status_code == 200
    for path in PAGES:
        text = visitor("GET", path).text
        assert "Every answer is a fallback:" in text
        assert "damaged or missing" in text
    assert "A fallback:" in visitor("GET", "/app/customers/C-new/why").text
    app.state.service.store.close()


# ---- Models ------------------------------------------------------------------------------


def evaluation(sha: str) -> Evaluation:
    figures = ModelFigures("base_rate", True, None, Estimate(0.6, 0.5, 0.7), 0.2, 0.01, None)
    tested = TargetEvaluation(
        target="churn_risk",
        question="?",
        window_days=28,
        served_by="base_rate",
        rows=200,
        customers=90,
        positives=60,
        base_rate=0.3,
        snapshots=2,
        first_as_of=0,
        last_as_of=DAY,
        models=(figures,),
        calibration=(CalibrationBin(0.1, 0.12, 100), CalibrationBin(0.5, 0.48, 100)),
        lift=(LiftTenth(1, 100, 0.5, 1.67, 0.8), LiftTenth(2, 100, 0.1, 0.33, 1.0)),
    )
    return Evaluation(sha, 0, "digest", 1, {}, (tested,), ())


def test_models_repeat_what_training_wrote(app: FastAPI, home: Home, inside: Visitor) -> None:
    assert "No pictures were kept" in inside("GET", "/app/models").text
    sha = app.state.service.champion.last.engine.bundle.sha256
    folder = report_folder(home, sha)
    save_evaluation(evaluation(sha), folder)
    (folder / beeswarm_file("churn_risk")).write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "card.html").write_text("<h1>Card</h1>")
    page = inside("GET", "/app/models").text
    assert "When it said so, did it come true?" in page
    assert "48 %" in page
    picture = f"/app/models/beeswarm/{sha}/churn_risk.svg"
    assert picture in page
    assert inside("GET", picture).headers["content-type"].startswith("image/svg+xml")
    card = inside("GET", f"/app/models/card/{sha}.html")
    assert "sandbox" in card.headers["content-security-policy"]
    assert inside("GET", "/app/models.json").json()["targets"][0]["lift"][0]["observed"] == 0.5
    (folder / "evaluation.json").write_text("{")
    assert "cannot be read" in inside("GET", "/app/models").text


@pytest.mark.parametrize(
    "path",
    [
        "/app/models/beeswarm/{sha}/../../../store.db.svg",
        "/app/models/beeswarm/{sha}/..%2f..%2f..%2fstore.svg",
        "/app/models/beeswarm/other/churn_risk.svg",
        "/app/models/beeswarm/{sha}/churn_risk.svg",
        "/app/models/card/..%2f..%2fhome.html",
        "/app/models/card/{sha}.html",
        "/app/static/..%2fpages.py",
        "/app/static/VENDOR.json",
    ],
)
def test_no_other_file_can_be_asked_for(app: FastAPI, inside: Visitor, path: str) -> None:
    sha = app.state.service.champion.last.engine.bundle.sha256
    assert inside("GET", path.replace("{sha}", sha)).status_code == 404


# ---- Files -------------------------------------------------------------------------------


def test_vendored_files_are_what_their_list_says() -> None:
    listed = json.loads((static_files.FOLDER / "VENDOR.json").read_text())
    for one in listed:
        content = (static_files.FOLDER / one["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == one["sha256"], one["file"]
        assert one["name"]
        assert one["version"]
        assert one["licence"] in ("0BSD", "OFL-1.1")
    ours = {"style.css", "icon.svg", "VENDOR.json"}
    files = {path.name for path in static_files.FOLDER.iterdir()}
    assert files == ours | {one["file"] for one in listed}


def test_files_named_by_their_content_are_kept_for_ever(visitor: Visitor) -> None:
    for link in static_files.links().values():
        response = visitor("GET", link)
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
    assert "immutable" not in visitor("GET", "/app/static/inter.woff2").headers["cache-control"]
    assert visitor("GET", "/app/static/none.css").status_code == 404


def test_the_secret_stays_in_the_home(app: FastAPI, home: Home) -> None:
    assert (Path(home.path) / SECRET_FILE).stat().st_mode & 0o077 == 0
