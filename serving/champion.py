"""The engine in service: the bundle that the store's champion row names, loaded once.

A bundle is tried in a process of its own before this one reads it, and a newcomer beside the
calls, which the bundle before it goes on answering: no bundle can stop, delay or end a server.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from features.definitions import FEATURES
from features.home import Home
from features.signals import EMPTY
from models.bundle_files import DamagedBundle, load_bundle
from models.bundle_folder import checked_files
from models.bundle_trial import try_in_child
from models.language import phrase
from models.reason_texts import load_reason_texts
from serving import catalog, policy
from serving.catalog import load_catalog
from serving.decision import Engine, customer_at, propose
from serving.edits import Edits
from serving.failures import Failures
from serving.policy import load_policy
from serving.storage.store import Store

DAMAGED: Final = phrase("the bundle in service is damaged or missing; run `nextbest train`")
READ_AGAIN_SECONDS: Final = 60.0  # reading a bundle of 1 MB costs some milliseconds
Files = tuple[tuple[str, int, int], ...]  # name, nanoseconds, bytes
SHIPPED_REASONS = Path(__file__).with_name("reasons.toml")


@dataclass(frozen=True, slots=True)
class InService:
    """An engine, and in words why it is not the champion's, where it is not.

    Attributes
    ----------
    sha : str or None
        What the champion row names.
    note : str
        Why there is no bundle, or why one that served before answers; empty if all is well.
    unusable : Files or None
        The files of that bundle, if it could not be used. A later change is a repair, and is
        tried.
    mistake : str
        What is wrong with an edit of the catalog, the policy or the sentences, which therefore
        does not serve; empty if nothing is.
    """

    sha: str | None
    engine: Engine
    note: str
    unusable: Files | None = None
    mistake: str = ""


def company_engine(home: Home) -> Engine:
    """Engine of a home without a bundle: its own catalog, policy and sentences, else ours.

    Raises
    ------
    InvalidCatalog, InvalidPolicy, InvalidReasonTexts
        If one of the three files has a mistake.
    """
    reasons = home.reasons if home.reasons.exists() else SHIPPED_REASONS
    return Engine(
        bundle=None,
        catalog=load_catalog(
            home.catalog if home.catalog.exists() else catalog.SHIPPED, FEATURES.names
        ),
        policy=load_policy(home.policy if home.policy.exists() else policy.SHIPPED),
        texts=load_reason_texts(reasons),
        features=FEATURES,
    )


class ChangedCurrency(ValueError):
    """The currency of a home in service was edited."""


def require_same_currency(edited: Engine, before: Engine) -> None:
    """Refuse another currency: the amounts that are on record would change their meaning.

    Raises
    ------
    ChangedCurrency
    """
    old, new = before.policy.currency, edited.policy.currency
    if old != new:
        raise ChangedCurrency(
            f"policy.toml: currency '{new}'; this home has amounts in '{old}', and a home has one "
            "currency; set it back, or make a new home"
        )


def with_champion(
    engine: Engine, home: Home, sha: str | None, failures: Failures | None = None
) -> InService:
    """The engine with a bundle; without one, and a note that says why, if it cannot be used."""
    if sha is None:
        return InService(None, engine, phrase("no bundle is in service yet; run `nextbest train`"))
    try:
        bundle = load_bundle(bundle_folder(home, sha), engine.features, trial=try_in_child)
    except (DamagedBundle, OSError) as error:
        (failures or Failures()).note("the champion bundle cannot be used", error)
        return InService(sha, engine, DAMAGED)
    return InService(sha, replace(engine, bundle=bundle), "")


def files_of(home: Home, sha: str | None) -> Files:
    """A bundle's files as they lie there: names, dates and sizes; none for no folder."""
    try:
        with os.scandir(bundle_folder(home, sha or "")) as entries:
            states = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except OSError:
        return ()
    return tuple(sorted((name, state.st_mtime_ns, state.st_size) for name, state in states))


def short(sha: str) -> str:
    """The first digits of a bundle's name, enough to tell bundles apart by eye."""
    return sha.removeprefix("sha256:")[:12]


def bundle_folder(home: Home, sha: str) -> Path:
    """Where a bundle lies."""
    return home.bundles / sha.removeprefix("sha256:")


class Disk:
    """Tells whether a bundle on the disk is still what training wrote.

    Parameters
    ----------
    clock : () -> seconds
        Any that never goes back.
    """

    def __init__(self, home: Home, clock: Callable[[], float] = time.monotonic) -> None:
        self._home, self._clock = home, clock
        self._seen: tuple[str, Files] | None = None
        self._seen_at, self._words = 0.0, ""

    def damage(self, sha: str) -> str:
        """What is wrong with it, in words; nothing if it is sound.

        Read again when a file was written, else once a minute: bits also rot by themselves.
        """
        state, now = (sha, files_of(self._home, sha)), self._clock()
        if state != self._seen or now - self._seen_at >= READ_AGAIN_SECONDS:
            self._words = ""
            try:
                checked_files(bundle_folder(self._home, sha))
            except (DamagedBundle, OSError) as error:
                self._words = str(error)
            self._seen, self._seen_at = state, now
        return self._words


class Champion:
    """Follows the store's champion row.

    Everything is read beside the calls, which what is in memory goes on answering: a newcomer is
    tried and loaded, about a second long, and answers from then on. One that cannot be used never
    drives out one that can: the bundle in memory goes on, and at the start the champion before it
    serves. An edit of the catalog, the policy or the sentences serves within a few seconds; one
    with a mistake does not, and the old ones go on.

    Parameters
    ----------
    edits : Edits, optional
        Tells of them; the home's own by default.
    failures : Failures, optional
        What is told of a bundle or an edit that cannot be used.
    """

    def __init__(
        self,
        home: Home,
        store: Store,
        edits: Edits | None = None,
        failures: Failures | None = None,
    ) -> None:
        self._home, self._store = home, store
        self._edits = edits or Edits(home)
        self._failures = failures or Failures()
        self._disk = Disk(home)
        self._lock = threading.Lock()
        self._following: threading.Thread | None = None
        self._is_edited = False
        self._company = company_engine(home)
        self._mistake = ""
        self._current = self._named(self._company, store.champion())

    def current(self) -> InService:
        """What is in memory. Whatever is new is read beside, once, however many callers ask.

        Raises
        ------
        StoreFailed
            If the store cannot be read.
        """
        self._catch_up()
        return self._current

    def settled(self) -> InService:
        """What serves once all that is new was read."""
        following = self._catch_up()
        if following is not None:
            following.join()
        return self._current

    def damage(self) -> str:
        """What is wrong, on the disk, with the bundle that the champion row names; else nothing."""
        serving = self._current
        if serving.sha is None:
            return ""
        return self._disk.damage(serving.sha) or ("" if serving.unusable is None else serving.note)

    def _catch_up(self) -> threading.Thread | None:
        """The thread that reads what is new; None if nothing is."""
        if self._edits.any_new():
            self._is_edited = True
        if not self._is_edited and self._stands(self._store.champion()):
            return None
        with self._lock:
            if self._following is None or not self._following.is_alive():
                self._following = threading.Thread(target=self._follow, daemon=True)
                self._following.start()
            return self._following

    def _follow(self) -> None:
        """Read the edits, then the bundle that is named."""
        try:
            if self._is_edited:
                self._is_edited = False
                self._read_edits()
            sha = self._store.champion()
            if not self._stands(sha):
                found = self._named(self._current.engine, sha)
                with self._lock:
                    self._current = self._with_company(found)
        except Exception as error:  # a thread has no caller; the next call tries again
            self._failures.note("what is new could not be read; the old goes on", error)

    def _read_edits(self) -> None:
        """Serve what the company edited; where it made a mistake, go on with the old and say so."""
        try:
            edited = company_engine(self._home)
            require_same_currency(edited, self._company)
        except (ValueError, OSError) as error:
            self._failures.note("an edit does not serve", error)
            edited, mistake = self._company, str(error)
        else:
            mistake = ""
        with self._lock:
            self._company, self._mistake = edited, mistake
            self._current = self._with_company(self._current)

    def _with_company(self, serving: InService) -> InService:
        """What serves, with the company's files as they were last read without a mistake."""
        files = self._company
        engine = replace(
            serving.engine, catalog=files.catalog, policy=files.policy, texts=files.texts
        )
        return replace(serving, engine=engine, mistake=self._mistake)

    def _stands(self, sha: str | None) -> bool:
        """Whether the champion row, and the bundle if it could not be used, are as they were."""
        unusable = self._current.unusable
        return sha == self._current.sha and (
            unusable is None or unusable == files_of(self._home, sha)
        )

    def _named(self, engine: Engine, sha: str | None) -> InService:
        """The named bundle; failing that, the one in the engine; failing that, the one before."""
        unusable = files_of(self._home, sha)
        found = with_champion(replace(engine, bundle=None), self._home, sha, self._failures)
        if found.engine.bundle is not None or sha is None:
            return found
        if engine.bundle is None:
            previous = self._store.previous_champion()
            if previous is not None:
                engine = with_champion(engine, self._home, previous, self._failures).engine
        if engine.bundle is None:
            return InService(sha, engine, found.note, unusable)
        note = (
            f"bundle {short(sha)} should serve but is damaged or missing; "
            f"{short(engine.bundle.sha256)}, which served before, answers"
        )
        return InService(sha, engine, note, unusable)

    @property
    def last(self) -> InService:
        """What served last, without asking the store."""
        return self._current

    def warm_up(self) -> None:
        """Compute one decision's worth for nobody, so that the first caller need not wait."""
        engine = self._current.engine
        customer = customer_at("nobody", EMPTY, 0, engine)
        propose(customer, engine)
