"""Identity of signals: what makes two rows one signal, and which of them is kept."""

from typing import Final

import duckdb

from features.history import History, parquet_source

REUSED: Final = "message_id_reused"
REUSED_WORDS: Final = (
    "the message_id (or the order id) belongs to another signal already; the first received is kept"
)
# An order is completed or cancelled once, so its number says which signal it is. It may be
# shipped, delivered or refunded in parts; those are told apart by their content.
_ONCE_AN_ORDER: Final = ("Order Completed", "Order Cancelled")
# The company has one currency, so it tells no two signals apart. Neither a signal's id nor its
# arrival belongs to its content: the same signal delivered twice is one signal.
_CONTENT: Final = (
    "customer_id",
    "event",
    "occurred_at",
    "amount",
    "category",
    "channel",
    "score",
    "communication",
    "selection_probability",
    "properties",
)


def content_sql() -> str:
    """SQL: the text of a signal's content, over typed columns."""
    return _joined_sql(*(f"coalesce({column}::varchar, '')" for column in _CONTENT))


def give_identities(connection: duckdb.DuckDBPyConnection) -> int:
    """Add `message_id` to the table `good`; how many rows are like an earlier row of their file.

    A signal is known by its own id, else by its order's number, else by its content. Rows of one
    file that are the same from end to end are told apart by their count: the second of them has
    the second identity, so that taking the file in again still changes nothing.
    """
    events = ", ".join(f"'{event}'" for event in _ONCE_AN_ORDER)
    number = "properties ->> 'order_id'"
    connection.execute(
        f"""alter table good add column message_id varchar;
        update good set message_id = coalesce(
          given_id,
          if(event in ({events}) and {number} is not null,
             'sha256:' || sha256({_joined_sql("'order'", "event", "customer_id", number)}), null),
          'sha256:' || sha256({content_sql()}));
        create table again as
        select rowid as place, row_number() over (
          partition by file, message_id, received_at order by line) as nth
        from good
        where given_id is null and not coalesce(event in ({events}) and {number} is not null, false)
        qualify nth > 1"""
    )
    counted = _joined_sql(content_sql(), "nth::varchar")
    connection.execute(
        f"update good set message_id = 'sha256:' || sha256({counted}) "
        "from again where good.rowid = again.place"
    )
    found = connection.execute("select count(*) from again").fetchall()
    return int(found[0][0])


def set_repeats_aside(connection: duckdb.DuckDBPyConnection, history: History) -> int:
    """Leave in `good` what is new; add reused ids to `bad`; how many are known already.

    Of several signals with one id the first received stays. What the history holds already
    was received before.
    """
    connection.execute(
        "create table claimed as "
        "select message_id from good group by message_id having count(*) > 1"
    )
    stored = (
        f"select message_id, sha256({content_sql()}) as content_sha from "
        f"{parquet_source(history)} semi join good using (message_id)"
        if history.parts()
        else "select message_id, '' as content_sha from claimed where false"
    )
    connection.execute(f"create table stored as {stored}")
    connection.execute("insert into claimed select message_id from stored")
    connection.execute(
        f"""create table claims as
        select *, first_value(content_sha) over first_received as first_sha,
          row_number() over first_received = 1 as stays
        from (
          select message_id, content_sha, -1 as file, -1 as line,
            null as received_at, -1 as place from stored
          union all
          select message_id, sha256({content_sql()}), file, line, received_at, rowid
          from good semi join claimed using (message_id))
        window first_received as (partition by message_id
          order by received_at nulls first, content_sha, file, line, place)"""
    )
    connection.execute(
        f"insert into bad select file, line, '{REUSED}', message_id "
        "from claims where content_sha <> first_sha"
    )
    connection.execute("delete from good where rowid in (select place from claims where not stays)")
    found = connection.execute(
        "select count(*) from claims where not stays and content_sha = first_sha"
    ).fetchall()
    return int(found[0][0])


def _joined_sql(*parts: str) -> str:
    # chr(31) is the ASCII sign made to separate units; no id or name may hold it.
    return f"concat_ws(chr(31), {', '.join(parts)})"
