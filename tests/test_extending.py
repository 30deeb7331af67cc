"""docs/extending.md does what it says: its code is run, trained with, served and explained."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.algebra import Feature, FeatureSet
from features.batch import feature_row
from features.definitions import FEATURES
from features.dictionary import dictionary_lines
from features.expressions import Signals
from features.groups.event_sets import EVENT_SETS
from features.history import History
from features.home import Home
from features.signals import ABSENT, DAY, SignalColumns, code
from models import bundle_files, classifier
from models.bundle_files import DamagedBundle, load_bundle, write_bundle
from models.classifier import Classifier, logit
from models.explain import starting_point
from models.targets import load_targets
from serving.calls.api import create_app
from serving.policy import load_policy
from serving.settings import Settings
from serving.storage.store import Store
from training import candidates
from training.candidates import Fitted, Fitter
from training.fit import TrainSettings, train

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
AS_OF = 1_788_220_800_000_000
Trained = tuple[Home, int]


def block(name: str) -> str:
    """The code of the page under a name."""
    found = re.search(rf"```python {name}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert found, name
    return found[1]


def run(*names: str, **known: Any) -> dict[str, Any]:
    """What is there after some blocks have run."""
    space: dict[str, Any] = {"__name__": __name__, **known}
    for name in names:
        exec(compile(block(name), str(PAGE), "exec"), space)
    return space


def test_every_block_of_the_page_is_run_here() -> None:
    named = re.findall(r"```python (\w+)", PAGE.read_text(encoding="utf-8"))
    assert named == ["matrix", "estimator", "feature", "oracle", "model", "fitter"]
    assert "```python\n" not in PAGE.read_text(encoding="utf-8")


def test_the_matrix_feeds_the_estimator(trained: Trained) -> None:
    home, as_of = trained
    found = run("matrix", "estimator", folder=home.path, as_of=as_of)
    assert len(found["risk"]) == len(found["tested"]) > 0
    assert found["columns"] == list(FEATURES.names)
    assert found["parts"].shape == (len(found["tested"]), len(FEATURES) + 1)


# ---- A feature ---------------------------------------------------------------------------

OWN = run("feature", "oracle", Feature=Feature, Signals=Signals, DAY=DAY)
WITH_OWN = FeatureSet((*FEATURES.features, OWN["wishes"]))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("Product Added", "Order Completed")),
            st.integers(1, 40 * DAY) | st.sampled_from((28 * DAY, 28 * DAY + 1, 1)),
        ),
        max_size=8,
    )
)
def test_the_feature_is_what_its_oracle_says(past: list[tuple[str, int]]) -> None:
    facts = sorted((AS_OF - ago, event) for event, ago in past)
    at = np.array([moment for moment, _ in facts], dtype=np.int64)
    absent = np.full(len(facts), ABSENT, dtype=np.int64)
    events = np.array([code(event) for _, event in facts], dtype=np.int64)
    signals = SignalColumns(events, at, at, absent, absent, np.zeros(len(facts), dtype=np.int64))
    row = feature_row(WITH_OWN, signals, AS_OF)
    assert row[-1] == OWN["retold"]([(event, moment) for moment, event in facts], AS_OF)
    np.testing.assert_array_equal(row[:-1], feature_row(FEATURES, signals, AS_OF))


def test_the_dictionary_knows_it_and_older_bundles_do_not(trained: Trained) -> None:
    home, _ = trained
    lines = "\n".join(dictionary_lines(WITH_OWN, EVENT_SETS))
    assert "* **wishes_28d**: Products put in the cart in the last 28 days." in lines
    with Store.open(home.store) as store:
        champion = store.champion() or ""
    with pytest.raises(DamagedBundle, match="train again with `nextbest train`"):
        load_bundle(home.bundles / champion.removeprefix("sha256:"), WITH_OWN)


# ---- A model -----------------------------------------------------------------------------


@pytest.fixture
def own_model(monkeypatch: pytest.MonkeyPatch) -> type:
    """The class of the page, with its lines in the two tables."""
    found = run(
        "model",
        "fitter",
        **{"dataclass": dataclass, "ClassVar": ClassVar, "np": np, "logit": logit},
        **{"Classifier": Classifier, "Fitter": Fitter, "Fitted": Fitted},
    )
    kinds = {**classifier.KINDS, "threshold": found["Threshold"]}
    monkeypatch.setattr(bundle_files, "KINDS", kinds)
    monkeypatch.setattr(candidates, "FITTERS", (found["fitter"], *candidates.FITTERS[:1]))
    made: type = found["Threshold"]
    return made


@pytest.fixture
def served(own_model: type, trained_copy: Trained) -> Trained:
    """A home in which a bundle of the own model serves, as trained from the history."""
    home, as_of = trained_copy
    log = History(home.signals).load(received_before=as_of)
    policy = load_policy(home.policy)
    settings = TrainSettings(load_targets(home.targets), policy.margin_rate, policy.horizon_days)
    result = train(log, FEATURES, settings, as_of)
    kinds = {each.model for each in result.metrics if each.target == "churn_risk"}
    assert kinds == {"threshold", "base_rate"}
    sha = write_bundle(result.bundle, home.bundles)
    with Store.open(home.store) as store:
        store.set_champion(sha)
    return home, as_of


def test_the_model_is_trained_bundled_served_and_explained(
    served: Trained, own_model: type
) -> None:
    home, as_of = served
    log = History(home.signals).load(received_before=as_of)
    app = create_app(Settings(home.path))
    key = app.state.service.store.new_key("test")

    def asked(name: str) -> Any:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.get(f"/v1/customers/{name}/explanation", headers=headers)

        return asyncio.run(answer()).json()

    bundle = app.state.service.champion.current().engine.bundle
    model = bundle.classifiers["churn_risk"]
    assert isinstance(model.model, own_model)
    explained = 0
    for place, name in enumerate(log.customer_ids[:40]):
        said = asked(name)["decision"]
        score = said["scores"].get("churn_risk")
        if score is None or score["value"] is None:
            continue
        row = feature_row(FEATURES, log.customer(place), as_of)
        assert score["served_by"] == "threshold"
        assert score["value"] == round(float(model.predict(row[np.newaxis])[0]), 4)
        mine = [reason for reason in said["reasons"] if reason["score"] == "churn_risk"]
        points = sum(reason["points"] for reason in mine)
        total = 100 * starting_point(model, row) + points
        assert total == pytest.approx(100 * score["value"], abs=0.2)  # tenths, rounded
        explained += any(reason["text"].startswith("Last order was") for reason in mine)
    app.state.service.store.close()
    assert explained


def test_a_bundle_of_an_unknown_kind_is_refused(
    served: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = served
    with Store.open(home.store) as store:
        champion = store.champion() or ""
    monkeypatch.setattr(bundle_files, "KINDS", classifier.KINDS)
    with pytest.raises(DamagedBundle, match="kind 'threshold'; kinds are lightgbm"):
        load_bundle(home.bundles / champion.removeprefix("sha256:"), FEATURES)
