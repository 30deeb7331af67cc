"""A small engine made by hand, and customers to ask it about."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from math import isnan
from pathlib import Path

import pytest

from features.batch import feature_row
from features.definitions import FEATURES
from features.signals import DAY, EMPTY, is_anonymous
from features.stage import StageWindows, stage
from models.bundle import Bundle, Golden
from models.classifier import Classifier, Logistic, RecencyRule
from models.margin import MarginModel
from models.targets import load_targets
from serving import catalog, policy
from serving.engine import Engine
from serving.exploration import arm_of
from serving.policy import Policy, load_policy
from serving.records import Customer

NOON = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture(scope="session")
def noon() -> int:
    return NOON


@pytest.fixture(scope="session")
def shop_policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The shipped policy, with consent to e-mails assumed."""
    file = tmp_path_factory.mktemp("policy") / "policy.toml"
    text = policy.SHIPPED.read_text(encoding="utf-8")
    file.write_text(text.replace("assume = []", 'assume = ["email:marketing"]'), encoding="utf-8")
    return load_policy(file)


@pytest.fixture(scope="session")
def rule_bundle() -> Bundle:
    """Churn rises and repurchase falls with the days since the last order; margin is plain.

    Who answered with a 10 is a promoter with a probability of .7, who did not answer of .25.
    """
    churn = RecencyRule(edges=(14.0, 28.0), log_odds=(-2.5, -1.0, 1.0), unknown=0.0, base=-1.5)
    again = RecencyRule(edges=(14.0, 28.0), log_odds=(1.0, 0.0, -2.0), unknown=0.0, base=0.0)
    nothing = (0.0,) * len(FEATURES)
    promoter = Logistic(
        mean=nothing,
        scale=(1.0,) * len(FEATURES),
        coefficient=tuple(0.8 if name == "nps_last" else 0.0 for name in FEATURES.names),
        missing=nothing,
        center=nothing,
        intercept=-1.1,
    )
    return Bundle(
        as_of=NOON,
        feature_names=FEATURES.names,
        fingerprint=FEATURES.fingerprint,
        targets=load_targets(),
        classifiers={
            "churn_risk": Classifier(churn, FEATURES.names),
            "repurchase_likelihood": Classifier(again, FEATURES.names),
            "promoter_likelihood": Classifier(promoter, FEATURES.names),
        },
        base_rates={
            "churn_risk": 0.2,
            "repurchase_likelihood": 0.5,
            "promoter_likelihood": 0.25,
        },
        margin=MarginModel(
            margin_rate=0.3,
            horizon_days=28,
            prior_days=30.0,
            everyone_per_day=0.5,
            edges=(),
            factors=(),
            unknown_factor=1.0,
            base=14.0,
        ),
        metrics=(),
        notes=(),
        golden=Golden((), {}),
        sha256="0" * 64,
    )


@pytest.fixture(scope="session")
def rule_engine(rule_bundle: Bundle, shop_policy: Policy) -> Engine:
    shipped = catalog.load_catalog(catalog.SHIPPED, FEATURES.names)
    return Engine(rule_bundle, shipped, shop_policy, None, FEATURES)


CustomerMaker = Callable[..., Customer]

# What happened, for features that count the days since.
HAPPENED = {
    "days_since_last_order": "Order Completed",
    "days_since_product_added": "Product Added",
    "days_since_checkout_started": "Checkout Started",
    "days_since_order_shipped": "Order Shipped",
    "days_since_order_delivered": "Order Delivered",
    "days_since_ticket_opened": "Ticket Opened",
    "days_since_ticket_resolved": "Ticket Resolved",
    "days_since_nps": "Survey Answered/nps",
    "days_since_signed_up": "Signed Up",
    "days_since_subscription_started": "Subscription Started",
    "days_since_subscription_cancelled": "Subscription Cancelled",
}


@pytest.fixture(scope="session")
def customer_with() -> CustomerMaker:
    """Make a customer from the features that matter; all others say nothing or are 0."""
    nothing = dict(zip(FEATURES.names, feature_row(FEATURES, EMPTY, NOON).tolist(), strict=True))

    def make(customer_id: str = "C-1", **features: float) -> Customer:
        assert set(features) <= set(nothing)
        found = nothing | features
        anonymous = is_anonymous(customer_id)
        at_stage = stage(found, anonymous, StageWindows(56, 28))
        last_at = {
            event: NOON - round(found[name] * DAY)
            for name, event in HAPPENED.items()
            if not isnan(found[name])
        }
        return Customer(customer_id, NOON, anonymous, found, at_stage, last_at)

    return make


@pytest.fixture(scope="session")
def id_in_arm(shop_policy: Policy) -> Callable[[str], str]:
    """Some customer id that belongs to an arm at noon."""

    def find(arm: str) -> str:
        ids = (f"C-{number}" for number in range(10_000))
        return next(each for each in ids if arm_of(each, shop_policy, NOON).name == arm)

    return find


@pytest.fixture(scope="session")
def regular(customer_with: CustomerMaker) -> Customer:
    """Somebody active who orders every fortnight."""
    return customer_with(
        days_since_last_order=10.0,
        days_since_first_order=200.0,
        tenure_days=200.0,
        orders_ever=14.0,
        orders_28d=2.0,
        orders_365d=14.0,
        spend_365d=420.0,
        usual_gap_days=14.0,
        last_gap_days=14.0,
    )


@pytest.fixture(scope="session")
def renamed() -> Callable[[Customer, str], Customer]:
    def rename(customer: Customer, customer_id: str) -> Customer:
        return replace(customer, customer_id=customer_id)

    return rename


@pytest.fixture
def edited_catalog(tmp_path: Path) -> Callable[[str, str], Path]:
    """The shipped catalog with one text replaced, as a file."""

    def edit(old: str, new: str) -> Path:
        text = catalog.SHIPPED.read_text(encoding="utf-8")
        assert old in text
        file = tmp_path / "catalog.toml"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        return file

    return edit


@pytest.fixture
def edited_policy(tmp_path: Path) -> Callable[[str, str], Path]:
    """The shipped policy with one text replaced, as a file."""

    def edit(old: str, new: str) -> Path:
        text = policy.SHIPPED.read_text(encoding="utf-8")
        assert old in text
        file = tmp_path / "policy.toml"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        return file

    return edit
