"""Fill the variables of an address in: a secret from here on, which no log and no reason may have."""

from plangate.policy.notify_addresses import VARIABLE, variables_in
from plangate.settings import variable_of_environment


class MissingVariable(ValueError):
    """A variable is not set; the message begins with a verb."""


def filled_in(address: str) -> str:
    """Return the address with the value of each variable of the environment.

    Raises:
        MissingVariable: one is not set, or has a control character.
    """
    values: dict[str, str] = {}
    for name in variables_in(address):
        value = (variable_of_environment(name) or "").strip()
        if not value:
            raise MissingVariable(f"needs the variable {name}, which is not set for this process")
        if not value.isprintable():
            raise MissingVariable(f"needs the variable {name}, which has a control character here")
        values[name] = value
    return VARIABLE.sub(lambda found: values[found[1]], address)
