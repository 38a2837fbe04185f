"""Printed commands start the program as it was started."""

from pathlib import Path

import pytest

from plangate.presentation.program import script_name


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
