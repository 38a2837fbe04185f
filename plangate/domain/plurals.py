"""Numbers with their nouns."""


def counted(count: int, one: str, many: str = "") -> str:
    """Return ``1 fault`` or ``1,200 faults``; ``many`` is the plural if it is not ``one`` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
