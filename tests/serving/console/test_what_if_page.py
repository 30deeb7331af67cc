"""The what-if page: a plain form, true to the call, in words, and it logs nothing."""

import re
import shutil
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI

from features.history import History
from features.home import Home
from models.reason_texts import FORBIDDEN
from models.what_if import CannotChange
from serving.calls.api import create_app
from serving.console.what_if import numbers
from serving.settings import Settings

Ask = Callable[[str], httpx.Response]


@pytest.fixture(scope="module")
def app(trained: tuple[Home, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    copy = tmp_path_factory.mktemp("what_if_page") / "home"
    shutil.copytree(trained[0].path, copy)
    made = create_app(Settings(copy))
    yield made
    made.state.service.store.close()


@pytest.fixture(scope="module")
def ask(app: FastAPI, caller: Callable[[FastAPI, str], Ask]) -> Ask:
    call = caller(app, "marketer")
    return lambda path: call("GET", path)


@pytest.fixture(scope="module")
def path(trained: tuple[Home, int], ask: Ask) -> str:
    """The page of the first customer who has a risk of churn and was written to."""
    for name in History(trained[0].signals).load().customer_ids:
        found = ask(f"/app/customers/{name}/what-if.json").json()
        churn = found["scores"].get("churn_risk", {"now": {"value": None}})
        if churn["now"]["value"] is not None and len(found["can_change"]) > 4:
            return f"/app/customers/{name}/what-if"
    raise LookupError("nobody to suppose anything of")


def test_the_page_has_a_form_that_needs_no_script(ask: Ask, path: str) -> None:
    page = ask(path)
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert f'<form method="get" action="{path}">' in page.text
    for lever in ask(f"{path}.json").json()["can_change"]:
        assert f'name="{lever["feature"]}" type="number"' in page.text
    assert "not what would happen if somebody changed it" in page.text
    assert " style=" not in page.text
    assert not FORBIDDEN.search(re.sub(r"<[^>]*>", "", page.text))


def test_what_is_typed_is_supposed(ask: Ask, path: str) -> None:
    levers = {one["feature"]: one for one in ask(f"{path}.json").json()["can_change"]}
    high = levers["emails_sent_28d"]["high"]
    query = f"?emails_sent_28d={high:g}&tickets_open="
    twin = ask(f"{path}.json{query}").json()
    moved = {one["feature"]: one for one in twin["changes"]}
    assert moved["emails_sent_28d"]["after"] == high
    assert moved["emails_sent_28d"]["asked"]
    page = ask(path + query).text
    assert "Supposed, and what follows from it" in page
    assert f'value="{high:g}"' in page
    table = ask(f"{path}.csv{query}").text
    assert "change,emails_sent_28d," in table


def test_what_cannot_be_asked_for_is_said(ask: Ask, path: str) -> None:
    page = ask(f"{path}?emails_sent_28d=<i>")
    assert page.status_code == 422
    assert "emails_sent_28d: what was typed is no number" in page.text
    assert "<i>" not in page.text
    page = ask(f"{path}?orders_28d=3")
    assert "orders_28d: no communication changes it" in page.text
    assert ask(f"{path}.json?orders_28d=3").json()["wrong"].startswith("orders_28d: no commun")


def test_nobody_unknown_has_a_page(ask: Ask) -> None:
    assert ask("/app/customers/C-nobody/what-if").status_code == 404


def test_the_customers_page_leads_there(ask: Ask, path: str) -> None:
    assert f'href="{path}"' in ask(path.replace("what-if", "why")).text


def test_looking_logs_nothing(app: FastAPI, ask: Ask, path: str) -> None:
    ask(f"{path}?emails_sent_28d=0")
    assert app.state.service.store.last_communications() == {}


def test_numbers_are_read_as_people_type_them() -> None:
    assert numbers({"a": "1,5", "b": " 2"}) == {"a": 1.5, "b": 2.0}
    for text in ("x", "nan", "inf", "1e999"):
        with pytest.raises(CannotChange, match="what was typed is no number"):
            numbers({"a": text})
