"""A real disk that fills up quickly: a small in-memory file system, which only root can mount."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pwd import getpwnam, getpwuid

import pytest


@contextmanager
def small_file_system(megabytes: int, owner: str | None = None) -> Iterator[Path]:
    """Provide a folder of this size while the block runs; skip the test if none can be mounted."""
    user = getpwnam(owner) if owner else getpwuid(os.geteuid())
    with tempfile.TemporaryDirectory(prefix="plangate-disk-") as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "disk"
        folder.mkdir()
        options = f"size={megabytes}m,uid={user.pw_uid},mode=700"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("only root can mount a small disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
