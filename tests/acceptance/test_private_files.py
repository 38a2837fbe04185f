"""No file of a worker, its embedded server or a command is accessible to other users of the machine."""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import Home, worker


@pytest.fixture
def _open_umask() -> Iterator[None]:
    """Set the most permissive umask, which the programs inherit."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """Return every path in a folder, or the folder itself, that other users can access."""
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
    return {path.name: oct(mode) for path, mode in found.items() if mode & 0o077}


@pytest.mark.usefixtures("_open_umask")
def test_everything_under_var_is_private_and_var_may_have_any_name(tmp_path: Path) -> None:
    # A folder that a person chose keeps its permissions; files are created as private.
    home = Home(tmp_path / "log", {"PLANGATE_VAR_DIR": str(tmp_path / "what? #100% ä" / "var")})
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "summary: x\nsteps:\n- {tool: send_email, reason: x, arguments: "
        "{to: [a@b.example], subject: x, body: x}}\n"
    )
    keys = {"PLANGATE_KEYS_DIR": str(tmp_path / "keys" / "mine")}
    with worker(home):
        started = home.forked("start", "--plan", str(plan), "--id", "one", "--requester", "rita", "--json")
        assert started.code == 0, started.err
        while (status := home.forked("status", "one", "--json").json)["state"] != "in_review":
            pass
        approved = home.forked("approve", "one", "--by", "dana", "--plan", status["fingerprint"])
        assert approved.code == 0, approved.err
        var = tmp_path / "what? #100% ä" / "var"
        while not list(var.glob("outbox/*.eml")):
            time.sleep(0.05)
        names = {path.name for path in var.iterdir()}
        assert {"records.db", "records.db-wal", "records.db-shm", "temporal.db", "seal.pem"} <= names
        assert open_to_others(tmp_path / "what? #100% ä") == {}
    assert home.forked("keys", "new", "名" * 100, changes=keys).code == 0
    listed = home.forked("keys", "list", "--json", changes=keys).json
    assert [key["name"] for key in listed] == ["名" * 100]
    assert open_to_others(tmp_path / "keys") == {}
    refused = home.forked("audit", "export", "one", "--output", "/dev/null")
    assert (refused.code, "it is a device" in refused.sentence) == (2, True)
    exported = home.forked("audit", "export", "one", "--output", str(tmp_path / "bundle.json"))
    assert exported.code == 0, exported.err
    assert stat.S_IMODE((tmp_path / "bundle.json").stat().st_mode) == 0o600


def test_a_second_key_for_a_name_is_refused_with_instructions_to_replace_the_first(
    home: Home, tmp_path: Path
) -> None:
    """The old public key line must stay: without it, its signatures could no longer be verified."""
    home.settings["PLANGATE_KEYS_DIR"] = str(tmp_path / "keys")
    made = home.forked("keys", "new", "dana")
    assert made.code == 0
    assert "The key is valid once it is in the workers' list of people.\n" in made.out
    again = home.forked("keys", "new", "dana")
    assert (again.code, again.out) == (2, "")
    assert "To replace it, move it away and create a new one." in again.err
    assert "Keep its public key in the list of people, with `until = …`" in again.err
