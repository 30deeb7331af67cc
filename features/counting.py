"""Numbers with what they count, as English has it: one customer, two customers."""


def counted(number: int, one: str, several: str = "") -> str:
    """A number and its noun: ``1 customer``, ``2,000 customers``, ``0 boxes``.

    Parameters
    ----------
    one : str
        The noun for a single thing.
    several : str
        For any other number, where it is not `one` with an s.
    """
    return f"{number:,} {one if number == 1 else several or one + 's'}"
