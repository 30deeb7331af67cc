"""Refusals: why a communication may not be sent, and everything that would have to change."""

from collections.abc import Callable, Iterable, Mapping
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


def decisive(obstacles: Iterable[Obstacle]) -> tuple[Obstacle, ...]:
    """The first of them, up to one that waiting does not remove.

    They tell by which rule a communication is refused, and for how long. What comes after adds
    to the words of the refusal alone, so it is not even asked until somebody reads them.
    """
    found = []
    for obstacle in obstacles:
        found.append(obstacle)
        if obstacle.until == NEVER:
            break
    return tuple(found)


def refusal_of(
    communication: str,
    obstacles: tuple[Obstacle, ...],
    everything: Callable[[str], Iterable[Obstacle]] | None = None,
) -> Refusal | None:
    """The refusal that all obstacles make together; None if there is none.

    The first obstacle gives the rule. The change names every obstacle, joined by "and": the
    whole of it, and nothing less, lets the communication through.

    Parameters
    ----------
    everything : from a communication to obstacles, optional
        Finds all of them where those given are the decisive ones.
    """
    if not obstacles:
        return None
    until = obstacles[-1].until  # `decisive` ones end with one that is for good
    if until != NEVER:
        until = max([obstacle.until for obstacle in obstacles])

    def words() -> str:
        found = obstacles if everything is None else everything(communication)
        return joined(TOGETHER, [obstacle.change for obstacle in found])

    return Refusal(communication, obstacles[0].rule, words, None if until == NEVER else until)
