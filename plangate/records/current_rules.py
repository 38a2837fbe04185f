"""Read the current list of people, and whether the current policy restricts who may see runs."""

from sqlalchemy import Connection

from plangate.domain.base import Frozen
from plangate.domain.people.people import People
from plangate.policy.kept_lists import lists_in
from plangate.policy.policy_file import has_see_rules
from plangate.records.rule_texts import rules_in_effect


class CurrentRules(Frozen):
    """The rules that a worker recorded last; ``people`` is None if there is no list."""

    people: People | None
    is_narrowed: bool


def current_rules(connection: Connection) -> CurrentRules:
    """Return the current rules."""
    listed, policy = rules_in_effect(connection, "people"), rules_in_effect(connection, "policy")
    text = listed.text if listed is not None else None
    return CurrentRules(
        people=lists_in((text,))(text.hash) if text is not None else None,
        is_narrowed=policy is not None and policy.text is not None and has_see_rules(policy.text.text),
    )
