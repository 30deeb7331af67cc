from models.expectation import SERVED_BY
from training.card import NAMES


def test_every_model_that_may_serve_has_a_name_on_the_card() -> None:
    assert set(NAMES) == set(SERVED_BY)
