"""What `nextbest doctor` says of a home besides its data: models, consent, keys, versions."""

import platform

from features.definitions import FEATURES
from features.history import History
from features.home import Home, write_whole
from models.bundle_files import DamagedBundle, load_bundle
from models.proposed_targets import targets_toml
from models.targets import load_targets
from serving.contact_policy import told
from serving.policy import load_policy
from serving.storage.sqlite_file import sqlite_version
from serving.storage.store import Store
from serving.storage.succession import FORCED
from training.aliases import follow_store
from training.readiness import readiness
from training.registry import TrackingFailed


def checked_home(home: Home, apply: bool) -> tuple[list[str], bool]:
    """All findings on a home; whether proposed windows were written into its targets.

    MLflow's aliases are mended on the way, where they do not follow the store.

    Raises
    ------
    HomeError
        If it is no home.
    EmptyHistory
        If it holds no signals yet.
    """
    home.about()
    history, policy = History(home.signals), load_policy(home.policy)
    found = readiness(history, load_targets(home.targets), policy)
    windows = found.proposed.windows
    applied = apply and windows is not None
    if apply and windows is not None:
        write_whole(home.targets, targets_toml(windows).encode())
        found = readiness(history, load_targets(home.targets), policy)
    lines = [*found.lines(), *service_lines(home)]
    if applied:
        lines.append(f"Wrote the proposed targets into {home.targets}.")
    elif apply:
        lines.append(f"Nothing was proposed, so {home.targets} stays as it was.")
    return lines, applied


def service_lines(home: Home) -> list[str]:
    """Sentences on what would serve, and under which assumptions."""
    stated = load_policy(home.policy).assumed_consents
    assumed = sorted(f"{channel}:{purpose}" for channel, purpose in stated)
    with Store.open(home.store) as store:
        champion, keys = store.champion(), store.key_names()
        decisions, pauses = store.decision_count(), store.pauses()
        challenger, history = store.challenger(), store.champion_history()
    lines = _bundle_lines(home, champion)
    if history and history[-1].how == FORCED:
        lines.append("It was promoted by force, although a gate said no.")
    if challenger is not None:
        lines.append(
            f"Bundle {challenger[:12]} waits as the challenger: compare them with "
            "`nextbest evaluate`."
        )
    lines.extend(_tracking_lines(home))
    if assumed:
        lines.append(
            f"Consent is assumed for {', '.join(assumed)}: policy.toml says so, and so does "
            "every answer that uses it."
        )
    named = ", ".join(keys) or "none; `nextbest keys new NAME` makes one"
    lines.append(f"{decisions:,} decisions on record. Keys: {named}.")
    lines.extend(f"Paused ({pause.number}): {told(pause)}." for pause in pauses)
    lines.append(f"Python {platform.python_version()}, SQLite {sqlite_version()}.")
    return lines


def _tracking_lines(home: Home) -> list[str]:
    """What of MLflow had to be mended, or why it cannot be."""
    try:
        return [f"MLflow did not follow the store; mended: {line}." for line in follow_store(home)]
    except TrackingFailed as error:
        return [f"{error}."]


def _bundle_lines(home: Home, champion: str | None) -> list[str]:
    """Whether the champion can serve, and whether it counts money as the policy does now."""
    if champion is None:
        return [
            "No models are in service: `nextbest train` makes them; "
            "until then every answer is a fallback."
        ]
    try:
        bundle = load_bundle(home.bundles / champion, FEATURES)
    except (DamagedBundle, OSError) as error:
        return [f"The bundle in service cannot be used: {error}"]
    served = ", ".join(
        f"{name} by {classifier.served_by}" for name, classifier in bundle.classifiers.items()
    )
    lines = [f"In service: bundle {champion[:12]}, {served}."]
    policy, margin = load_policy(home.policy), bundle.margin
    for name, now, then in (
        ("margin_rate", policy.margin_rate, margin.margin_rate),
        ("horizon_days", policy.horizon_days, margin.horizon_days),
    ):
        if now != then:
            lines.append(
                f"policy.toml says {name} = {now:g}, but the bundle was trained with {then:g}: "
                "run `nextbest train`."
            )
    return lines
