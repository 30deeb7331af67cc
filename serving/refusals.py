"""Refusals: why a communication may not be sent, and everything that would have to change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from models.language import joined
from serving.records import Refusal, Words, said

TOGETHER: Final = "{these} and {that}"
NEVER: Final = 2**62  # later than any date: time alone does not remove such an obstacle


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One rule that says no, the change that it waits for, and when time alone brings it.

    Attributes
    ----------
    words : str, or how it is made
        What would be true if the rule said yes.
    until : int
        Microseconds UTC; `NEVER` where waiting does not help.
    """

    rule: str
    words: Words
    until: int = NEVER

    @property
    def change(self) -> str:
        """What would be true if the rule said yes, in words."""
        return said(self.words)


# What stands in the way of communications, by their names.
Obstacles = Mapping[str, tuple[Obstacle, ...]]


def refusal_of(communication: str, obstacles: Iterable[Obstacle]) -> Refusal | None:
    """The refusal that all obstacles make together; None if there is none.

    The first obstacle gives the rule. The change names every obstacle, joined by "and": the
    whole of it, and nothing less, lets the communication through.
    """
    found = tuple(obstacles)
    if not found:
        return None
    first, *others = found
    until = first.until
    for obstacle in others:
        until = max(until, obstacle.until)

    def words() -> str:
        return joined(TOGETHER, [obstacle.change for obstacle in found])

    return Refusal(communication, first.rule, words, None if until == NEVER else until)
