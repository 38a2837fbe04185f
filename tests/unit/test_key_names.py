"""Each person's private key has a separate file with a name that is valid on any file system."""

import random
from pathlib import Path

from plangate.cli.key_chain import KeyChain
from plangate.cli.screen import open_screen
from plangate.domain.people.people import identity
from plangate.settings import Settings

LETTERS = "aZ09 .-_~=%/é名ğ😀İ"


def test_each_name_has_its_own_valid_file_name(tmp_path: Path) -> None:
    rng = random.Random(5)
    keys = KeyChain(Settings(keys_dir=tmp_path), open_screen())
    names = {"".join(rng.choices(LETTERS, k=rng.randint(1, 100))).strip() or "x" for _ in range(500)}
    names |= {"名" * 100, "名" * 99 + "前", "名" * 40, "dana"}
    found: dict[Path, str] = {}
    for name in names:
        path = keys.path_of(name)
        assert path.parent == tmp_path
        path.touch()  # reserved by the file system
        assert found.setdefault(path, identity(name)) == identity(name)
    assert keys.path_of("Dana").name == "dana.pem"
    assert keys.path_of("名" * 100) != keys.path_of("名" * 99 + "前")
