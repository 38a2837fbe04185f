"""The output of `keys new` can be put into the list of people, whether the person has keys or not."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.signing.jws import PUBLIC_PREFIX, public_of
from tests.support.program import Home, Typed


def test_a_new_key_is_added_to_the_list_after_the_existing_keys(
    tmp_path: Path, typing: Callable[[Home], Typed]
) -> None:
    typed = typing(Home(tmp_path, {"PLANGATE_KEY_PASSPHRASE": "a test passphrase"}))
    ended = typed("keys", "new", "dana")
    assert ended.code == 0, ended
    assert "Add it to the keys of dana" in ended.out
    whole, entry = (line.strip() for line in ended.out.splitlines() if "public =" in line)
    first = tomllib.loads(whole)["keys"]
    assert tomllib.loads(f'keys = [{{ public = "ed25519:AAAA" }}, {entry}]')["keys"][1:] == first


@pytest.mark.parametrize("junk", ["ed25519:AAAA", "ed25519:" + "A" * 43, "passkey:pAEBAycgBiFYIA", "dana"])
@pytest.mark.parametrize(("name", "command"), [("SEALERS", "keys seal"), ("WEB_KEYS", "keys web")])
def test_an_invalid_trusted_key_stops_each_program_that_trusts_keys_at_its_start(
    tmp_path: Path, name: str, command: str, junk: str
) -> None:
    home = Home(tmp_path, {"TEMPORAL_ADDRESS": "127.0.0.1:1", "PLANGATE_WEB_ADDRESS": "127.0.0.1:0"})
    key = PUBLIC_PREFIX + public_of(Ed25519PrivateKey.generate())
    expected = (
        f"The setting PLANGATE_{name} cannot be used: entry 2 of 2 is not an Ed25519 public key; write the "
        f"line that `{command}` prints, ed25519:…, and separate several with commas."
    )
    for program, *words in (["worker.py"], ["web.py"], ["starter.py", "audit", "verify"]):
        ended = home.forked(*words, program=program, changes={f"PLANGATE_{name}": f"{key}, {junk}"})
        assert (ended.code, ended.sentence) == (1, expected), program
