"""A home: the folder that holds one data set and everything made from it."""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CLOCKS: Final = ("live", "data_end")


class HomeError(ValueError):
    """The home is missing or its `home.toml` cannot be used."""


@dataclass(frozen=True, slots=True)
class About:
    """What the home says of itself in `home.toml`.

    Attributes
    ----------
    name : str
        Shown on every page and in every answer.
    clock : str
        "live": the present; "data_end": the midnight after the last signal.
    simulated : bool
        Whether the people in it are invented; stands in every answer.
    """

    name: str
    clock: str = "live"
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one home folder. Making the object touches no disk."""

    path: Path

    @property
    def about_file(self) -> Path:
        return self.path / "home.toml"

    @property
    def signals(self) -> Path:
        return self.path / "signals"

    @property
    def quarantine(self) -> Path:
        return self.path / "quarantine"

    @property
    def store(self) -> Path:
        return self.path / "store.db"

    @property
    def bundles(self) -> Path:
        return self.path / "bundles"

    @property
    def reports(self) -> Path:
        return self.path / "reports"

    @property
    def catalog(self) -> Path:
        return self.path / "catalog.toml"

    @property
    def policy(self) -> Path:
        return self.path / "policy.toml"

    @property
    def reasons(self) -> Path:
        return self.path / "reasons.toml"

    @property
    def locales(self) -> Path:
        """The company's own translations, a `.po` file a locale; they win over ours."""
        return self.path / "locales"

    @property
    def targets(self) -> Path:
        return self.path / "targets.toml"

    @property
    def mapping(self) -> Path:
        return self.path / "mapping.toml"

    @property
    def truth(self) -> Path:
        """Hidden truth of the demo company; only `simulate` and tests may read it."""
        return self.path / "truth"

    def about(self) -> About:
        """What `home.toml` says.

        Raises
        ------
        HomeError
            If the file is missing, is no TOML, or holds an unknown key or clock.
        """
        if not self.about_file.exists():
            raise HomeError(
                f"{self.path}: not a home (it has no home.toml); "
                "make one with `nextbest init`, or name another with --home"
            )
        try:
            found = tomllib.loads(self.about_file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise HomeError(f"{self.about_file}: not TOML: {error}; mend that line") from error
        allowed = ("name", "clock", "simulated")
        for key in found:
            if key not in allowed:
                raise HomeError(
                    f"{self.about_file}: unknown key '{key}'; "
                    f"keys are {', '.join(allowed)}; remove it or correct its spelling"
                )
        if found.get("clock", "live") not in CLOCKS:
            raise HomeError(
                f"{self.about_file}: clock = {found['clock']!r}; "
                f"clocks are {', '.join(CLOCKS)}; choose one of them"
            )
        return About(
            name=str(found.get("name", self.path.name)),
            clock=str(found.get("clock", "live")),
            simulated=bool(found.get("simulated", False)),
        )

    def write_about(self, about: About) -> None:
        """Write `home.toml`, making the folder if need be: its owner's alone, it holds people."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = (
            f"name = {json.dumps(about.name, ensure_ascii=False)}",
            f'clock = "{about.clock}"  # "live", or "data_end" for a data set of the past',
            f"simulated = {str(about.simulated).lower()}",
        )
        write_whole(self.about_file, "\n".join(lines).encode() + b"\n")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part.

    Written beside its place, forced to disk, then moved over it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
