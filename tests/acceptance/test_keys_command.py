"""The output of `keys new` can be put into the list of people, whether the person has keys or not."""

import tomllib
from collections.abc import Callable
from pathlib import Path

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
