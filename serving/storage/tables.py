"""The tables of the store: what is kept, column by column.

Times are int64 microseconds UTC. SQLite keeps any value in any column unless told otherwise, so
whatever is counted or compared carries a check of its type.
"""

from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = "3"
# Older versions lacked tables and indexes only, so opening adds them; see `Store.open`.
OLDER_VERSIONS: Final = ("1", "2")

METADATA: Final = sa.MetaData()

meta = sa.Table(
    "meta",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

customers = sa.Table(
    "customers",
    METADATA,
    sa.Column("customer_id", sa.Text, primary_key=True),
    sa.Column("signals", sa.LargeBinary, nullable=False),  # six int64 columns, see signals.pack
    sa.Column("written_at", sa.Integer, nullable=False),
)

consents = sa.Table(
    "consents",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("given", sa.Integer, nullable=False),
    sa.Column("objection", sa.Integer, nullable=False),
    sa.Column("evidence", sa.Text),
    sa.Column("occurred_at", sa.Integer, nullable=False),
    sa.Column("received_at", sa.Integer, nullable=False),
    sa.Column("recorded_at", sa.Integer, nullable=False),
    # The same change imported twice is one change.
    sa.UniqueConstraint("customer_id", "channel", "purpose", "occurred_at", "given", "objection"),
    sa.CheckConstraint("given IN (0, 1) AND objection IN (0, 1)"),
    sa.CheckConstraint("typeof(occurred_at) = 'integer' AND typeof(received_at) = 'integer'"),
)

decisions = sa.Table(
    "decisions",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("as_of", sa.Integer, nullable=False),
    sa.Column("recorded_at", sa.Integer, nullable=False),
    sa.Column("not_before", sa.Integer, nullable=False),
    sa.Column("reconsider_at", sa.Integer, nullable=False),
    sa.Column("valid_until", sa.Integer, nullable=False),
    sa.Column("communication", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("message_class", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("arm_share", sa.Float, nullable=False),
    sa.Column("selection_probability", sa.Float, nullable=False),
    sa.Column("probabilities", sa.Text, nullable=False),  # JSON: communication -> probability
    sa.Column("effects", sa.Text, nullable=False),  # JSON: the allowed set, best first
    sa.Column("refusals", sa.Text, nullable=False),  # JSON
    sa.Column("scores", sa.Text, nullable=False),  # JSON
    sa.Column("reasons", sa.Text, nullable=False),  # JSON
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("flags", sa.Text, nullable=False),  # JSON
    sa.Column("consent", sa.Text, nullable=False),  # JSON
    sa.Column("bundle", sa.Text, nullable=False),
    sa.Column("catalog", sa.Text, nullable=False),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("features", sa.LargeBinary, nullable=False),  # float64, in the fingerprint's order
    sa.Column("fallback", sa.Integer, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),  # what the caller limited the choice to
    sa.Column("request", sa.Text, nullable=False),  # JSON: the rest of what the caller said
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.CheckConstraint("typeof(as_of) = 'integer' AND typeof(valid_until) = 'integer'"),
    # A probability of zero could not have been chosen; NaN arrives here as NULL and is refused.
    sa.CheckConstraint("selection_probability > 0 AND selection_probability <= 1.000000001"),
    sa.CheckConstraint("fallback IN (0, 1)"),
    sa.Index("decisions_by_customer", "customer_id", "as_of"),
)
# How many places of a communication are taken, whoever took them.
decisions_by_communication = sa.Index(
    "decisions_by_communication", decisions.c.communication, decisions.c.as_of
)

# What customers stated of how they are contacted; see `features.traits`.
traits = sa.Table(
    "traits",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("occurred_at", sa.Integer, nullable=False),
    sa.Column("received_at", sa.Integer, nullable=False),
    sa.Column("recorded_at", sa.Integer, nullable=False),
    sa.UniqueConstraint("customer_id", "name", "value", "occurred_at"),
    sa.CheckConstraint("typeof(occurred_at) = 'integer' AND typeof(received_at) = 'integer'"),
    sa.Index("traits_by_value", "name", "value"),
)

# What became of a decision: each kind of outcome once.
outcomes = sa.Table(
    "outcomes",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("decision_id", sa.Text, sa.ForeignKey("decisions.id"), nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("occurred_at", sa.Integer, nullable=False),
    sa.Column("received_at", sa.Integer, nullable=False),
    sa.Column("amount", sa.Integer),  # minor currency units
    sa.UniqueConstraint("decision_id", "outcome"),
    sa.CheckConstraint("typeof(occurred_at) = 'integer' AND typeof(received_at) = 'integer'"),
)

# Signals that came over HTTP. They wait here for the history, which is the record; the customer's
# packed signals hold them at once. Afterwards the row stays a while, to know a repeated message.
received = sa.Table(
    "received",
    METADATA,
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),  # hash of what was said
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("received_at", sa.Integer, nullable=False),
    sa.Column("waits", sa.Integer, nullable=False),
    sa.Column("row", sa.Text, nullable=False),  # JSON: canonical columns; empty once taken over
    sa.Column("signal", sa.LargeBinary, nullable=False),  # see signals.pack
    sa.CheckConstraint("waits IN (0, 1)"),
    sa.Index("received_waiting", "waits", "customer_id"),
)

# Items that made no sense, as they stood.
quarantine = sa.Table(
    "quarantine",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("recorded_at", sa.Integer, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),  # JSON: name -> words
    sa.Column("item", sa.Text, nullable=False),
)

idempotency = sa.Table(
    "idempotency",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request_hash", sa.Text, nullable=False),
    # Claimed before the decision exists, hence checked only at the commit.
    sa.Column(
        "decision_id",
        sa.Text,
        sa.ForeignKey("decisions.id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    sa.Column("recorded_at", sa.Integer, nullable=False, index=True),
)

customer_lock = sa.Table(
    "customer_lock",
    METADATA,
    sa.Column("customer_id", sa.Text, primary_key=True),
    sa.Column("turns", sa.Integer, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created_at", sa.Integer, nullable=False),
)

champion = sa.Table(
    "champion",
    METADATA,
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("changed_at", sa.Integer, nullable=False),
    sa.CheckConstraint("place = 1"),  # there is one champion
)

# Every bundle that came into service, in order; the table `champion` holds the present one.
champions = sa.Table(
    "champions",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("changed_at", sa.Integer, nullable=False),
    sa.Column("how", sa.Text, nullable=False),
)

# When each event last happened to each customer: finds those whose moment has come. It can be
# made anew from the customers' signals.
moments = sa.Table(
    "moments",
    METADATA,
    sa.Column("customer_id", sa.Text, primary_key=True),
    sa.Column("event", sa.Integer, primary_key=True),  # see signals.code
    sa.Column("at", sa.Integer, nullable=False),
    sa.Column("heard_at", sa.Integer, nullable=False),  # when the last of them became known
    sa.Index("moments_by_event", "event", "at"),
)

# The crisis switch, part by part; a part that is off again stays on record.
pauses = sa.Table(
    "pauses",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", sa.Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("flag", sa.Text, nullable=False),
    sa.Column("allow", sa.Text, nullable=False),  # JSON: message classes
    sa.Column("ended_at", sa.Integer),  # null: it is on
    sa.CheckConstraint("typeof(since) = 'integer'"),
    sa.Index("pauses_on", "ended_at"),
)

# Pauses of which a person looks at what they held back, so that it is not sent late by itself.
reviews = sa.Table(
    "reviews",
    METADATA,
    sa.Column("pause", sa.Integer, sa.ForeignKey("pauses.number"), primary_key=True),
)
