import pytest

from features.counting import counted


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 boxes"), (1, "1 box"), (2, "2 boxes"), (12_345, "12,345 boxes")],
)
def test_one_thing_is_not_said_in_the_plural(number: int, words: str) -> None:
    assert counted(number, "box", "boxes") == words
    assert counted(number, "key") == f"{number:,} key{'' if number == 1 else 's'}"
