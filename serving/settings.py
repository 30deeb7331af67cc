"""What a deployment sets: environment variables that begin with NEXTBEST_."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = "NEXTBEST_"
HOME: Final = "NEXTBEST_HOME"
DEADLINE: Final = "NEXTBEST_DEADLINE_MS"
NAMES: Final = (HOME, DEADLINE)

DEFAULT_HOME: Final = "./.nextbest"
# A mail platform that asks while it renders waits 2 s and then leaves the message out. 1 s keeps
# half of that for the network and is far above what a decision takes.
DEFAULT_DEADLINE_MS: Final = 1000
SHORTEST_DEADLINE_MS: Final = 50
LONGEST_DEADLINE_MS: Final = 1500


class WrongSetting(ValueError):
    """An environment variable that cannot be used."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the home is, and how long a caller waits at most.

    Attributes
    ----------
    home : Path
    deadline_ms : int
        After so many milliseconds a decision is answered with the fallback.
    """

    home: Path
    deadline_ms: int = DEFAULT_DEADLINE_MS


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings of a deployment.

    Raises
    ------
    WrongSetting
        If a variable with our prefix is unknown, empty or out of range.
    """
    for name in environment:
        if name.startswith(PREFIX) and name not in NAMES:
            close = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise WrongSetting(
                f"unknown setting {name}; {hint}settings are {', '.join(NAMES)}; "
                "correct its name or unset it"
            )
    home = environment.get(HOME, DEFAULT_HOME)
    if not home.strip():
        raise WrongSetting(f"{HOME} is empty; must be the path of a home; set it or unset it")
    return Settings(Path(home), _deadline(environment.get(DEADLINE, str(DEFAULT_DEADLINE_MS))))


def _deadline(text: str) -> int:
    within = f"{SHORTEST_DEADLINE_MS} to {LONGEST_DEADLINE_MS}"
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
    if not SHORTEST_DEADLINE_MS <= number <= LONGEST_DEADLINE_MS:
        raise WrongSetting(
            f"{DEADLINE} = {text!r}; must be a whole number of milliseconds, {within}; "
            "correct it or unset it"
        )
    return number
