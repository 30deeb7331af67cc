"""The shipped languages: every sentence of ours in every one of them, and nothing left over."""

import ast
import asyncio
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from features.definitions import FEATURES
from features.home import Home
from models.bands import BANDS
from models.language import COUNTED, DAYS
from models.messages import InvalidMessages, load_languages, placeholders, read_messages
from models.reason_texts import BARE, load_reason_texts, sentence
from serving.calls.api import create_app
from serving.running import LOCALES
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
REASONS = ROOT / "serving" / "reasons.toml"
CATALOGS = sorted(LOCALES.glob("*.po"))
# Words that claim a cause, as `models.reason_texts.FORBIDDEN` has them for English.
CAUSES = {"de": r"\b(weil|wegen|aufgrund|dank|verursach\w*|führt zu|bewirk\w*|deshalb|daher)\b"}


def in_reasons() -> Iterator[str]:
    """Every sentence of reasons.toml."""
    found = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    yield from (found["rest"], found["nothing"], *BARE)
    for kind in ("groups", "features"):
        for table in found[kind].values():
            for said in table.values():
                yield from said if isinstance(said, list) else [said]


def in_source(source: str) -> Iterator[str]:
    """First argument of every `phrase` and `joined` of a file; a name stands for its constant."""
    tree = ast.parse(source)
    constants = {
        node.target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("phrase", "joined"):
            first = call.args[0]
            if isinstance(first, ast.Constant):
                yield str(first.value)
            elif isinstance(first, ast.Name):
                yield str(constants[first.id])
            else:
                raise AssertionError(f"{ast.unparse(call)}: a message must be a literal")


def ours() -> set[str]:
    """Every message that a language should have."""
    sources = [*ROOT.glob("models/*.py"), *ROOT.glob("serving/**/*.py")]
    found = {
        text
        for path in sources
        if "from models.language import" in (source := path.read_text(encoding="utf-8"))
        for text in in_source(source)
    }
    units = {text for pair in (DAYS, *COUNTED.values()) for text in pair}
    labels = {feature.label for feature in FEATURES.features}
    return found | labels | set(in_reasons()) | units | set(BANDS) | {"less than a day"}


def said_in(path: Path) -> set[str]:
    return {text for each in read_messages(path) for text in (each.text, each.plural) if text}


def test_german_is_shipped() -> None:
    assert "de" in {path.stem for path in CATALOGS}


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.stem)
def test_every_sentence_has_every_language(path: Path) -> None:
    assert sorted(ours() - said_in(path)) == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.stem)
def test_no_language_says_what_we_do_not(path: Path) -> None:
    assert sorted(said_in(path) - ours()) == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.stem)
def test_no_language_claims_a_cause(path: Path) -> None:
    reasons = set(in_reasons())
    for each in read_messages(path):
        if each.text in reasons:
            assert not re.search(CAUSES[path.stem], " ".join(each.said), re.I), each


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.stem)
def test_every_reason_can_be_said_in_every_language(path: Path) -> None:
    language = load_languages([LOCALES])[path.stem]
    texts = load_reason_texts(REASONS, FEATURES)
    rng = np.random.default_rng(3)
    for value in (0.4, 1.0, 2.0, 1234.5, -3.0):
        known = {name: value if rng.random() < 0.8 else np.nan for name in FEATURES.names}
        for feature in FEATURES.features:
            english = sentence(feature, known, FEATURES, texts)
            said = language.say(english)
            assert said != english
            assert said.endswith(".")
            assert not re.search(r"[{}]|\bnan\b|--", said)


def test_a_message_that_no_language_has_is_seen() -> None:
    code = 'X: Final = "from a constant"\nphrase("new {a}", a=1)\njoined(X, [])'
    assert list(in_source(code)) == ["new {a}", "from a constant"]
    assert "new {a}" not in said_in(CATALOGS[0])
    with pytest.raises(AssertionError, match="a message must be a literal"):
        list(in_source("phrase(text + 'x')"))


def test_our_own_messages_have_plain_placeholders() -> None:
    for text in ours():
        assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in placeholders(text)), text


# ---- Over HTTP ---------------------------------------------------------------------------


@pytest.fixture
def app(home: Home) -> Iterator[FastAPI]:
    home.locales.mkdir()
    (home.locales / "fr.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
        'msgid "this customer is not known here"\nmsgstr "client inconnu ici"\n',
        encoding="utf-8",
    )
    made = create_app(Settings(home.path))
    yield made
    made.state.service.store.close()


def decided(app: FastAPI, *asked: dict[str, object]) -> list[dict[str, Any]]:
    """Answers to decisions, one after the other."""
    key = app.state.service.store.new_key("test")

    async def answers() -> list[dict[str, Any]]:
        transport, headers = httpx.ASGITransport(app), {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [
                (await client.post("/v1/decisions", headers=headers, json=one)).json()
                for one in asked
            ]

    return asyncio.run(answers())


def test_a_decision_is_answered_in_the_locale_asked_for(app: FastAPI) -> None:
    english, german = decided(
        app,
        {"customer_id": "C-new", "channels": ["sms"]},
        {"customer_id": "C-new", "channels": ["sms"], "locale": "de-AT"},
    )
    limits = "the caller allows the channel email", "der Aufrufer erlaubt den Kanal email"
    for answer, words in zip((english, german), limits, strict=True):
        assert any(words in one["change"] for one in answer["refusals"])
    assert [one["rule"] for one in english["refusals"]] == [
        one["rule"] for one in german["refusals"]
    ]
    german_changes = " ".join(one["change"] for one in german["refusals"])
    assert " and " not in german_changes
    assert " und " in german_changes


def test_notes_follow_the_locale_and_the_companys_own_language(app: FastAPI) -> None:
    unknown = {"customer_id": "C-nobody"}
    answers = decided(app, *({**unknown, "locale": code} for code in ("de", "fr_CA", "it", "en")))
    assert [one["note"] for one in answers] == [
        "dieser Kunde ist hier nicht bekannt",
        "client inconnu ici",
        "this customer is not known here",
        "this customer is not known here",
    ]


def test_the_same_key_gets_the_same_language_again(app: FastAPI) -> None:
    asked = {"customer_id": "C-lapsing", "locale": "de", "idempotency_key": "one"}
    first, again = decided(app, asked, asked)
    assert first == again


def test_a_wrong_catalog_of_the_company_stops_the_service(home: Home) -> None:
    home.locales.mkdir()
    (home.locales / "fr.po").write_text('msgid "a"\nmsgstr "b"\n', encoding="utf-8")
    with pytest.raises(InvalidMessages, match=r"fr\.po: no header"):
        create_app(Settings(home.path))
