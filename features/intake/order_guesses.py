"""Guesses about files of money: orders, refunds, carts left, subscriptions."""

from features.intake.column_guesses import Column, words
from features.intake.look import TIMES, Look
from features.intake.mapping import PRODUCT, SignalRule

_PIECE_WORDS = {"unit", "unitprice", "einzelpreis", "stueckpreis", "stuckpreis", "piece"}


def order_signals(look: Look, customer: str) -> tuple[SignalRule, ...]:
    """Orders, and their shipment, delivery and refund where a column says when."""
    at = look.moment()
    if at is None:
        return ()
    order_id = look.find("order_id")
    known = {"customer_id": customer}
    if order_id:
        known["properties.order_id"] = order_id.name
    columns = known | {"occurred_at": at.name}
    amount = _amount(look)
    if amount:
        columns["amount"] = amount
    for target, role, kinds in (
        ("currency", "currency", ("text",)),
        ("category", "category", ("text",)),
        ("properties.discount", "discount", ("number",)),
    ):
        found = look.find(role, kinds)
        if found:
            columns[target] = found.name
    once = order_id.name if order_id and look.repeats(customer, order_id.name) else ""
    if once:
        look.note(
            f"'{once}' repeats: the file has one row an article, not one an order. "
            "one_per adds their amounts up; take it out if the amount is the whole order's."
        )
    negative = "Order Refunded" if amount and _goes_below_zero(look, amount) else ""
    if negative:
        look.note(
            f"negative amounts in '{amount}' are read as '{negative}'; take 'negative' out to put "
            "such rows aside."
        )
    completed = SignalRule(
        event="Order Completed", columns=columns, one_per=once, negative=negative
    )
    rules = [completed]
    for role, event in (
        ("shipped_at", "Order Shipped"),
        ("delivered_at", "Order Delivered"),
        ("refunded_at", "Order Refunded"),
    ):
        later = look.find(role, TIMES)
        if later and later.name != at.name:
            money = {"amount": amount} if event == "Order Refunded" and amount else {}
            rules.append(
                SignalRule(
                    event=event,
                    columns=known | {"occurred_at": later.name} | money,
                    only_where=later.name,
                    one_per=once,
                )
            )
    return tuple(rules)


def refund_signals(look: Look, customer: str) -> tuple[SignalRule, ...]:
    """Money given back."""
    at = look.find("refunded_at", TIMES) or look.moment()
    if at is None:
        return ()
    columns = {"customer_id": customer, "occurred_at": at.name}
    for target, role in (("amount", "amount"), ("properties.order_id", "order_id")):
        found = look.find(role, ("number",) if role == "amount" else ())
        if found:
            columns[target] = found.name
    return (SignalRule(event="Order Refunded", columns=columns),)


def cart_signals(look: Look, customer: str) -> tuple[SignalRule, ...]:
    """Carts that were filled but not paid: no money came of them."""
    at = look.moment()
    if at is None:
        return ()
    columns = {"customer_id": customer, "occurred_at": at.name}
    return (SignalRule(event="Product Added", columns=columns),)


def subscription_signals(look: Look, customer: str) -> tuple[SignalRule, ...]:
    """Subscriptions: when they began, and until when they run."""
    at = look.find("starts_at", TIMES) or look.moment()
    if at is None:
        return ()
    columns = {"customer_id": customer, "occurred_at": at.name}
    ends = look.find("ends_at", TIMES)
    if ends and ends.name != at.name:
        columns["properties.ends_at"] = ends.name
    plan = look.find("plan", ("text",))
    if plan:
        columns["properties.plan"] = plan.name
    return (SignalRule(event="Subscription Started", columns=columns),)


def _amount(look: Look) -> str:
    """The column, or the product of two, that says what an order cost; empty: none does."""
    found = look.find("amount", ("number",))
    if found is None:
        look.note("no column of amounts was found: orders will bring no money. Add one.")
        return ""
    if not _is_of_one_piece(found):
        return found.name
    pieces = look.find("quantity", ("number",))
    if pieces is None:
        look.note(
            f"'{found.name}' is the price of one piece and no column says how many: orders will "
            "bring no money. Add a column of the whole amount."
        )
        return ""
    product = f"{found.name}{PRODUCT}{pieces.name}"
    look.note(f"the amount is '{product}', since '{found.name}' is the price of one piece.")
    return product


def _is_of_one_piece(found: Column) -> bool:
    return bool(_PIECE_WORDS & {*words(found.name).split()})


def _goes_below_zero(look: Look, amount: str) -> bool:
    return any(
        text.lstrip("€$£ ").startswith("-")
        for name in amount.split(PRODUCT)
        for text in look.cells[name]
    )
