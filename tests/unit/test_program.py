"""Printed commands match how the program was started; programs also start if that is unknown."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from plangate.domain.errors import SettingsInvalid
from plangate.presentation.program_name import name_from_here, script_name
from plangate.settings import PROJECT, Settings, environment_with

GONE = "The current directory no longer exists; change to another one, for example with: cd /\n"


@pytest.mark.parametrize(
    ("script", "folder", "said"),
    [
        ("/people/ann/plangate/starter.py", "/people/ann/plangate", "python starter.py"),
        ("/people/ann/plangate/starter.py", "/people/ann/mine", "python ~/plangate/starter.py"),
        ("/opt/plangate/starter.py", "/people/ann", "python /opt/plangate/starter.py"),
        ("/opt/plan gate/starter.py", "/people/ann", "python '/opt/plan gate/starter.py'"),
        ("/people/ann/plan gate/starter.py", "/people/ann", "python '/people/ann/plan gate/starter.py'"),
    ],
)
def test_a_command_can_be_typed_in_the_current_directory(script: str, folder: str, said: str) -> None:
    assert script_name(script, Path(folder), Path("/people/ann")) == said


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        ((str(PROJECT / "starter.py"), "status", "x"), 1, GONE),
        ((str(PROJECT / "starter.py"), "--help"), 0, ""),
        ((str(PROJECT / "web.py"),), 1, GONE),
        ((str(PROJECT / "worker.py"),), 1, GONE),
        (("-c", "from plangate.cli.app import installed; installed()", "status", "x"), 1, GONE),
    ],
)
def test_a_deleted_working_directory_is_reported(
    tmp_path: Path, words: tuple[str, ...], code: int, err: str
) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    ended = subprocess.run(
        ["/bin/sh", "-c", 'rmdir "$0" && exec "$@"', str(folder), sys.executable, *words],
        cwd=folder,
        env=environment_with({"PYTHONPATH": str(PROJECT)}, without=("PLANGATE_", "TEMPORAL_")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (code, err)


def test_a_user_without_a_home_directory_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert name_from_here(os.fspath(PROJECT / "starter.py")).startswith("python ")
    with pytest.raises(SettingsInvalid, match="no home directory; set PLANGATE_KEYS_DIR"):
        _ = Settings(keys_dir=None).private_keys
    monkeypatch.setattr("plangate.settings.PROJECT", tmp_path)  # as when the package is installed
    with pytest.raises(SettingsInvalid, match="no home directory; set PLANGATE_VAR_DIR"):
        Settings()
    assert Settings(var_dir=tmp_path).var_dir == tmp_path
