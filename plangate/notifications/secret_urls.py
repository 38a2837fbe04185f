"""Fill in the variables of an address; the result is a secret, which must not reach logs or reasons."""

from collections.abc import Callable
from urllib.parse import quote

from plangate.notifications.failures import shown_address
from plangate.notifications.notice import Attempted, Delivery
from plangate.policy.notify_addresses import VARIABLE, variables_in
from plangate.settings import variable_of_environment


class MissingVariable(ValueError):
    """A variable is not set; the message begins with a verb."""


def not_set(address: str, error: MissingVariable) -> Attempted:
    """Return the result for a missing variable: try again, because an operator can set it later."""
    return Attempted(delivery=Delivery.LATER, reason=f"The address {shown_address(address)} {error}.")


def as_part(value: str) -> str:
    """Return a value, encoded as one part of a URL."""
    return quote(value, safe="")


def filled_in(address: str, written: Callable[[str], str] = str) -> str:
    """Return the address with the value of each environment variable, as ``written`` writes it.

    Raises:
        MissingVariable: a variable is not set, or has a control character.
    """
    values: dict[str, str] = {}
    for name in variables_in(address):
        value = (variable_of_environment(name) or "").strip()
        if not value:
            raise MissingVariable(f"needs the variable {name}, which is not set for this process")
        if not value.isprintable():
            raise MissingVariable(f"needs the variable {name}, which has a control character here")
        values[name] = value
    return VARIABLE.sub(lambda found: written(values[found[1]]), address)
