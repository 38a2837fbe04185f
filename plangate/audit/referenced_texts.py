"""Read the texts for a run's evidence from the records."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from plangate.audit.delegations import policies_of_lists
from plangate.audit.rule_references import referenced_rules
from plangate.domain.runs.audit import AuditEntry, RuleText
from plangate.records.rule_texts import texts_of


def referenced_texts(
    connection: Connection, entries: Iterable[AuditEntry], known: Sequence[RuleText] = ()
) -> tuple[RuleText, ...]:
    """Return the policies and lists of people that a trail refers to, and the policies of those lists.

    The ``known`` texts, and the policies of these lists, are left out, because they have already been
    returned.
    """
    has = {text.hash for text in known}
    unknown = referenced_rules(entries).keys() - has
    named = texts_of(connection, unknown) if unknown else ()
    more = policies_of_lists(named) - has - unknown
    return (*named, *(texts_of(connection, more) if more else ()))
