"""Each proposed passkey belongs to one person, and an invitation works only once."""

from pathlib import Path

import pytest

from plangate.presentation.clock import now
from plangate.web.database import WebDatabase
from plangate.web.passkeys import Registered
from plangate.web.proposals import KeyOfAnother, Proposals
from tests.support.authenticator import passkey


def test_a_key_that_another_person_has_proposed_is_refused(tmp_path: Path) -> None:
    proposals = Proposals(WebDatabase.at(tmp_path / "web.db").engine)
    made = Registered(public=passkey("dana").public, credential_id="one")
    proposals.propose("dana", "phone", made, now())
    with pytest.raises(KeyOfAnother):
        proposals.propose("mallory", "mine", made, now())
    assert proposals.propose("Dana", "phone again", made, now()) == proposals.keys_of("dana")[0].key_id
    assert proposals.keys_of("mallory") == ()
