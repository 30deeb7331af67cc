"""The engine in service: the bundle that the store's champion row names, loaded once.

A bundle is tried in a process of its own before this one reads it, and a newcomer beside the
calls, which the bundle before it goes on answering: no bundle can stop, delay or end a server.
"""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from features.definitions import FEATURES
from features.home import Home
from features.signals import EMPTY
from models.bundle_files import DamagedBundle, load_bundle
from models.bundle_trial import try_in_child
from models.language import phrase
from models.reason_texts import load_reason_texts
from serving import catalog, policy
from serving.catalog import load_catalog
from serving.decision import Engine, customer_at, propose
from serving.edits import Edits
from serving.policy import load_policy
from serving.security import log_failure
from serving.store import Store

DAMAGED: Final = phrase("the bundle in service is damaged or missing; run `nextbest train`")
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
    looked_at : int
        When the manifest of that bundle was last changed, if the bundle could not be used
        (nanoseconds; 0: there was none). A later change is a repair, and is tried.
    mistake : str
        What is wrong with an edit of the catalog, the policy or the sentences, which therefore
        does not serve; empty if nothing is.
    """

    sha: str | None
    engine: Engine
    note: str
    looked_at: int | None = None
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


def with_champion(engine: Engine, home: Home, sha: str | None) -> InService:
    """The engine with a bundle; without one, and a note that says why, if it cannot be used."""
    if sha is None:
        return InService(None, engine, phrase("no bundle is in service yet; run `nextbest train`"))
    try:
        bundle = load_bundle(bundle_folder(home, sha), engine.features, trial=try_in_child)
    except (DamagedBundle, OSError) as error:
        log_failure("the champion bundle cannot be used", error)
        return InService(sha, engine, DAMAGED)
    return InService(sha, replace(engine, bundle=bundle), "")


def manifest_changed_at(home: Home, sha: str | None) -> int:
    """When a bundle's manifest was last written, nanoseconds; 0 if there is none."""
    try:
        return (bundle_folder(home, sha or "") / "manifest.json").stat().st_mtime_ns
    except OSError:
        return 0


def short(sha: str) -> str:
    """The first digits of a bundle's name, enough to tell bundles apart by eye."""
    return sha.removeprefix("sha256:")[:12]


def bundle_folder(home: Home, sha: str) -> Path:
    """Where a bundle lies."""
    return home.bundles / sha.removeprefix("sha256:")


class Champion:
    """Follows the store's champion row.

    A newcomer is tried and loaded beside the calls, about a second long, and answers from then
    on. One that cannot be used never drives out one that can: the bundle in memory goes on, and
    at the start the champion before it serves. An edit of the catalog, the policy or the
    sentences serves within a few seconds; one with a mistake does not, and the old ones go on.

    Parameters
    ----------
    edits : Edits, optional
        Tells of them; the home's own by default.
    """

    def __init__(self, home: Home, store: Store, edits: Edits | None = None) -> None:
        self._home, self._store = home, store
        self._edits = edits or Edits(home)
        self._lock = threading.Lock()
        self._loading: threading.Thread | None = None
        self._company = company_engine(home)
        self._mistake = ""
        self._current = self._named(self._company, store.champion())

    def current(self) -> InService:
        """What serves now. A bundle is loaded once, however many callers ask for it.

        Only where there is nothing else to answer with is a newcomer waited for.
        """
        if self._edits.any_new():
            self._read_edits()
        sha = self._store.champion()
        if not self._stands(sha):
            loading = self._load_beside(sha)
            if self._current.engine.bundle is None:
                loading.join()
        return self._current

    def settled(self) -> InService:
        """What serves once the bundle that the champion row names now was tried."""
        sha = self._store.champion()
        if not self._stands(sha):
            self._load_beside(sha).join()
        return self._current

    def _load_beside(self, sha: str | None) -> threading.Thread:
        """The thread that loads: a new one, or the one that is at it."""
        with self._lock:
            if self._loading is None or not self._loading.is_alive():
                self._loading = threading.Thread(target=self._load, args=(sha,), daemon=True)
                self._loading.start()
            return self._loading

    def _load(self, sha: str | None) -> None:
        if not self._stands(sha):
            found = self._named(self._current.engine, sha)
            with self._lock:
                self._current = self._with_company(found)

    def _read_edits(self) -> None:
        """Serve what the company edited; where it made a mistake, go on with the old and say so."""
        try:
            edited = company_engine(self._home)
            require_same_currency(edited, self._company)
        except ValueError as error:
            log_failure("an edit does not serve", error)
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
        looked_at = self._current.looked_at
        return sha == self._current.sha and (
            looked_at is None or looked_at == manifest_changed_at(self._home, sha)
        )

    def _named(self, engine: Engine, sha: str | None) -> InService:
        """The named bundle; failing that, the one in the engine; failing that, the one before."""
        looked_at = manifest_changed_at(self._home, sha)
        found = with_champion(replace(engine, bundle=None), self._home, sha)
        if found.engine.bundle is not None or sha is None:
            return found
        if engine.bundle is None:
            previous = self._store.previous_champion()
            if previous is not None:
                engine = with_champion(engine, self._home, previous).engine
        if engine.bundle is None:
            return InService(sha, engine, found.note, looked_at)
        note = (
            f"bundle {short(sha)} should serve but is damaged or missing; "
            f"{short(engine.bundle.sha256)}, which served before, answers"
        )
        return InService(sha, engine, note, looked_at)

    @property
    def last(self) -> InService:
        """What served last, without asking the store."""
        return self._current

    def warm_up(self) -> None:
        """Compute one decision's worth for nobody, so that the first caller need not wait."""
        engine = self._current.engine
        customer = customer_at("nobody", EMPTY, 0, engine)
        propose(customer, engine)
