"""What the service decides with, as callers and the console read it: catalog and models."""

from dataclasses import asdict

from features.signals import MINUTE
from serving.answer import Json, Surroundings, time_text
from serving.catalog import Communication
from serving.engine import Engine
from serving.storage.succession import Change


def communications(engine: Engine, surroundings: Surroundings) -> dict[str, Json]:
    """The whole catalog."""
    entries = engine.catalog.communications.values()
    return {
        "communications": [communication(entry) for entry in entries],
        "currency": surroundings.currency,
        "catalog": engine.catalog.sha256,
    }


def communication(entry: Communication) -> dict[str, Json]:
    """One entry of the catalog."""
    prior = entry.prior
    return {
        "communication": entry.name,
        "name": entry.title,
        "channel": entry.channel,
        "class": entry.message_class,
        "purpose": entry.purpose,
        "stages": list(entry.stages),
        "requires_flags": list(entry.requires_flags),
        "blocked_by_flags": list(entry.blocked_by_flags),
        "where": [condition.text for condition in entry.where],
        "trigger": [] if entry.moment is None else list(entry.moment.trigger),
        "after": "" if entry.moment is None else entry.moment.after,
        "delay_minutes": 0 if entry.moment is None else entry.moment.delay // MINUTE,
        "cancel_on": [] if entry.moment is None else list(entry.moment.cancel_on),
        "terms": entry.terms,
        "approved": entry.approved,
        "human": entry.human,
        "cost": entry.cost,
        "window_days": entry.window_days,
        "prior": {
            "share": prior.share,
            "share_sd": prior.share_sd,
            "of": list(prior.of),
            "source": prior.source,
            "reviewed": prior.reviewed,
        },
    }


def models(
    engine: Engine, history: tuple[Change, ...], surroundings: Surroundings
) -> dict[str, Json]:
    """The bundle in service, how well it did on its test, and what served before."""
    bundle = engine.bundle
    served: list[Json] = [
        {
            "bundle": f"sha256:{change.sha256.removeprefix('sha256:')}",
            "changed_at": time_text(change.changed_at),
            "how": change.how,
        }
        for change in history
    ]
    content: dict[str, Json] = {
        "bundle": engine.versions.bundle,
        "as_of": None,
        "targets": [],
        "metrics": [],
        "notes": [],
    }
    if bundle is not None:
        content |= {
            "as_of": time_text(bundle.as_of),
            "targets": [
                {
                    "name": target.name,
                    "question": target.question,
                    "window_days": target.window_days,
                    "base_rate": bundle.base_rates.get(target.name),
                }
                for target in bundle.targets.targets
            ],
            "metrics": [asdict(measured) for measured in bundle.metrics],
            "notes": list(bundle.notes),
        }
    return {**content, "history": served, "data": asdict(surroundings.about)}
