"""What pydantic found wrong, in sentences for the person who typed it."""

from pydantic import ValidationError


def sentences(error: ValidationError, place: str = "", *, whole: str = "it") -> list[str]:
    """Return one sentence for each fault, beginning with its place below ``place``.

    Args:
        error: what pydantic raised.
        place: where the value that was validated stands, such as ``steps[2]``.
        whole: what to call that value where ``place`` is empty and the fault is its own.
    """
    told = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        path = place
        for part in fault["loc"]:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        message = fault["msg"].removeprefix("Value error, ")
        match fault["type"]:
            case "missing":
                message = "is missing"
            case "too_short" if fault["loc"] and fault["loc"][-1] == "steps":
                message = "there must be at least one step"
            case "extra_forbidden":
                message = "is not known here; take it out"
        told.append(f"{path or whole}: {message}")
    return told
