"""Build the list of people that workers use: the file, trusted web servers, and keys enrolled later.

The three are combined into one text. One SHA-256 then identifies all the data that was used for a decision,
and an evidence bundle contains all the data for its check. Without web servers and passkeys the text of the
file is unchanged.
"""

import json
from collections.abc import Sequence
from typing import Final

from plangate.domain.people.people import Enrolment, People
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.policy.delegated_roles import split_kept
from plangate.policy.people_file import people_in
from plangate.settings import Settings
from plangate.signing.enrolment import KeyStatement, with_enrolments
from plangate.signing.jws import PUBLIC_PREFIX
from plangate.signing.public_keys import is_passkey, shown
from plangate.signing.trusted_keys import trusted_web_keys

_COMMENT: Final = (
    "# The file ends here. Added by a worker: the web servers it trusts, and signed changes of keys."
)


def trusted_web(settings: Settings) -> TrustedWeb:
    """Return the web servers that the settings trust.

    Raises:
        SettingsInvalid: an entry of PLANGATE_WEB_KEYS is not a public key.
    """
    return TrustedWeb(origins=frozenset({settings.web_url}), keys=trusted_web_keys(settings))


def people_in_effect(
    people: People, web: TrustedWeb, statements: Sequence[KeyStatement], installation: str | None = None
) -> People:
    """Return the list that a worker uses.

    Args:
        people: the list in the file.
        web: the web servers that the worker's settings trust.
        statements: the signed changes to keys in the records, in order; those that the list does not prove
            are left out, and listed in `People.unproven`.
        installation: the id of these records; changes that were signed for another installation are left out,
            too.
    """
    trusting = people.model_copy(update={"web": web})
    enrolled = with_enrolments(trusting, statements, installation)
    has_passkeys = any(is_passkey(key.x) for person in people.persons for key in person.keys)
    if not people.text or not (web.keys or has_passkeys or enrolled.enrolments):
        return enrolled
    kept = people_in(_written(people.text, web, enrolled.enrolments))
    return kept.model_copy(update={"unproven": enrolled.unproven})


def text_of_file(recorded: str) -> str:
    """Return the text of the file in a recorded list of people, without what workers added to it."""
    file, _ = split_kept(recorded)
    return file.partition(f"\n{_COMMENT}\n")[0].rstrip("\n")


def _written(text: str, web: TrustedWeb, enrolments: Sequence[Enrolment]) -> str:
    keys = sorted(PUBLIC_PREFIX + key for key in web.keys or ())
    lines = [
        text.rstrip("\n"),
        "",
        _COMMENT,
        "[web]",
        f"origins = {_quoted(sorted(web.origins or ()))}",
        f"keys = {_quoted(keys)}",
    ]
    for one in enrolments:
        lines += ["", "[[enrolment]]", f'token = "{one.token}"']
        lines += [f'public = "{shown(one.public)}"'] if one.public is not None else []
    return "\n".join(lines) + "\n"


def _quoted(texts: Sequence[str]) -> str:
    return json.dumps(list(texts))  # ASCII without control characters, which TOML quotes as JSON does
