from collections.abc import Callable

import pytest

from models.expectation import Expectation, Score
from serving.flags import flags_up
from serving.policy import Policy
from serving.records import Customer

NOTHING = Expectation(scores={}, usual_margin=0.0)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({}, ()),
        ({"days_since_product_added": 7.0}, ("cart_open",)),
        ({"days_since_product_added": 7.1}, ()),
        ({"days_since_checkout_started": 1.0}, ("cart_open",)),
        ({"days_since_product_added": 2.0, "days_since_last_order": 1.0}, ()),
        ({"days_since_product_added": 2.0, "days_since_last_order": 3.0}, ("cart_open",)),
        ({"days_since_product_added": 2.0, "days_since_last_order": 2.0}, ()),
        ({"days_since_order_shipped": 3.0}, ("order_in_transit",)),
        ({"days_since_order_shipped": 22.0}, ()),
        ({"days_since_order_shipped": 3.0, "days_since_order_delivered": 1.0}, ()),
        (
            {"days_since_order_shipped": 3.0, "days_since_order_delivered": 30.0},
            ("order_in_transit",),
        ),
        ({"tickets_open": 1.0}, ("complaint_open",)),
        (
            {"subscription_days_left": 30.0, "days_since_subscription_started": 60.0},
            ("renewal_near",),
        ),
        ({"subscription_days_left": 31.0, "days_since_subscription_started": 60.0}, ()),
        ({"subscription_days_left": -1.0, "days_since_subscription_started": 60.0}, ()),
        (
            {
                "subscription_days_left": 10.0,
                "days_since_subscription_started": 60.0,
                "days_since_subscription_cancelled": 5.0,
            },
            (),
        ),
        (
            {
                "subscription_days_left": 10.0,
                "days_since_subscription_started": 20.0,
                "days_since_subscription_cancelled": 50.0,
            },
            ("renewal_near",),
        ),
        ({"products_viewed_7d": 3.0}, ("researching",)),
        ({"products_viewed_7d": 3.0, "orders_7d": 1.0}, ()),
        ({"nps_last": 9.0, "days_since_nps": 365.0}, ("advocate",)),
        ({"nps_last": 9.0, "days_since_nps": 366.0}, ()),
        ({"nps_last": 8.0, "days_since_nps": 3.0, "referrals_365d": 2.0}, ()),
        ({"nps_last": 8.0, "days_since_nps": 400.0, "referrals_365d": 2.0}, ("advocate",)),
        ({"referrals_365d": 1.0}, ("advocate",)),
        ({"nps_last": 6.0, "days_since_nps": 30.0}, ("detractor",)),
        ({"nps_last": 6.0, "days_since_nps": 31.0}, ()),
        ({"nps_last": 7.0, "days_since_nps": 3.0}, ()),
    ],
)
def test_flag_goes_up_and_down(
    customer_with: Callable[..., Customer],
    shop_policy: Policy,
    features: dict[str, float],
    expected: tuple[str, ...],
) -> None:
    assert flags_up(customer_with(**features).features, NOTHING, shop_policy) == expected


@pytest.mark.parametrize(
    ("usual", "average", "expected"),
    [(28.0, 14.0, ("high_value",)), (27.9, 14.0, ()), (28.0, 0.0, ())],
)
def test_high_value_is_a_multiple_of_the_average(
    customer_with: Callable[..., Customer],
    shop_policy: Policy,
    usual: float,
    average: float,
    expected: tuple[str, ...],
) -> None:
    margin = Score("expected_margin", usual, 28, average, "base_rate")
    expectation = Expectation({"expected_margin": margin}, usual_margin=usual)
    assert flags_up(customer_with().features, expectation, shop_policy) == expected


@pytest.mark.parametrize(
    ("likelihood", "features", "expected"),
    [
        (0.5, {}, ("advocate",)),
        (0.49, {}, ()),
        (None, {}, ()),
        (0.9, {"nps_last": 8.0, "days_since_nps": 3.0}, ()),  # their own word counts for more
        (0.9, {"nps_last": 8.0, "days_since_nps": 400.0}, ("advocate",)),
    ],
)
def test_a_likely_promoter_is_an_advocate_unasked(
    customer_with: Callable[..., Customer],
    shop_policy: Policy,
    likelihood: float | None,
    features: dict[str, float],
    expected: tuple[str, ...],
) -> None:
    score = Score("promoter_likelihood", likelihood, 14, 0.25, "logistic")
    expectation = Expectation({"promoter_likelihood": score}, usual_margin=0.0)
    assert flags_up(customer_with(**features).features, expectation, shop_policy) == expected


def test_flags_keep_their_order(
    customer_with: Callable[..., Customer], shop_policy: Policy
) -> None:
    customer = customer_with(
        nps_last=2.0, days_since_nps=1.0, tickets_open=1.0, days_since_product_added=1.0
    )
    up = flags_up(customer.features, NOTHING, shop_policy)
    assert up == ("cart_open", "complaint_open", "detractor")
