"""An inbox for plans that need a signed approval by finance, and software passkeys that sign on its pages."""

import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

from plangate.policy.effective_people import people_in_effect, trusted_web
from plangate.policy.people_file import PeopleFile
from plangate.policy.policy_file import policy_in
from plangate.records.rule_texts import record_rules
from plangate.signing.base64url import decoded
from tests.support.authenticator import Passkey
from tests.support.gate import Gate
from tests.support.inbox import Inbox, open_inbox_on

POLICY = '[default]\nneeds = [{ role = "finance" }]\nassurance = "signed"\n'
PEOPLE = """\
[[person]]
name = "dana"
roles = ["finance"]
keys = [{keys}]

[[person]]
name = "rita"
"""


@dataclass
class SigningInbox:
    """An inbox for signed approvals, and the file with its list of people."""

    gate: Gate
    inbox: Inbox
    people: Path
    enroller: str = ""

    def enrol(self, *keys: str) -> None:
        """Replace dana's keys in the list of people with these keys."""
        dana = PEOPLE.format(keys=", ".join(f'{{public = "{key}"}}' for key in keys))
        self.people.write_text(dana + self.enroller)
        listed = people_in_effect(PeopleFile(self.people).people(), trusted_web(self.gate.settings), ())
        record_rules(self.gate.database, "people", listed.text, listed.hash, "worker@here")


@asynccontextmanager
async def signing_inbox(
    gate: Gate, folder: Path, *keys: str, policy: str = POLICY
) -> AsyncIterator[SigningInbox]:
    """Run a worker and the inbox while the block runs; dana has these keys."""
    free = socket.create_server(("127.0.0.1", 0))
    url = f"http://localhost:{free.getsockname()[1]}"
    people = folder / "people.toml"
    people.write_text(PEOPLE.format(keys=""))
    gate.settings = gate.settings.model_copy(update={"web_url": url})
    gate.directory, gate.policy = PeopleFile(people), policy_in(policy)
    async with gate.worker(), open_inbox_on(free, gate) as inbox:
        opened = SigningInbox(gate, inbox, people)
        opened.enrol(*keys)
        yield opened
    gate.database.close()


def credential_for(html: str, key: Passkey, origin: str, **ceremony: Any) -> str:
    """Return a browser's result for a passkey on this page, as the page's script sends it."""
    found = re.search(r'data-sign="([^"]+)"', html)
    assert found is not None, "the page asks for no passkey"
    options = json.loads(unescape(found[1]))
    said = {"origin": origin, "rp_id": "localhost", **ceremony}
    answer = key.answer(decoded(options["challenge"]), **said)
    response = {
        "clientDataJSON": answer.client_data,
        "authenticatorData": answer.authenticator_data,
        "signature": answer.signature,
    }
    return json.dumps({"id": answer.credential_id, "type": "public-key", "response": response})
