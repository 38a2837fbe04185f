"""The package as users install it: its wheel in a separate environment."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

from plangate.settings import PROJECT, environment_with
from tests.support.program import OTHERS, Ended
from tests.support.wait_limit import WAIT_LIMIT

_BLOCK = 4096  # bytes: the unit in which disks store files


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the package's tracked files, without a registry."""
    source = folder / "source"
    shutil.copytree(PROJECT / "plangate", source / "plangate", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source / name)
    _pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel and its declared dependencies, and nothing else."""

    folder: Path

    def run(self, *words: str, changes: dict[str, str | None] | None = None) -> Ended:
        """Run a program of this environment outside the checkout."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.variables(changes),
            capture_output=True,
            timeout=WAIT_LIMIT,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    def command(self, program: str, *words: str) -> list[str]:
        """Return the command that runs a program of this environment."""
        return [str(self.folder / "bin" / program), *words]

    def variables(self, changes: dict[str, str | None] | None = None) -> dict[str, str]:
        """Return the environment variables of a user who has set only ``changes``."""
        own = {"HOME": str(self.folder), "XDG_STATE_HOME": None, "XDG_CONFIG_HOME": None}
        return environment_with({**own, **(changes or {})}, without=(*OTHERS, "PYTHON"))

    @property
    def megabytes(self) -> float:
        """The size of the installed files on a disk, with the bytecode that pip compiles."""
        files = [path for path in self.packages.rglob("*") if path.is_file()]
        return sum(-(-path.stat().st_size // _BLOCK) * _BLOCK for path in files) / 1e6

    @property
    def packages(self) -> Path:
        """The folder of the installed packages."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found


def install(wheel: Path, folder: Path, extra: str = "") -> Environment:
    """Create an environment with the wheel and, recursively, the requirements in its metadata.

    pip installs the wheel. Its requirements are the locked versions that the tests run with, linked file by
    file, so no registry is needed; `make lock` shows that an index has them.
    """
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=WAIT_LIMIT
    )
    environment = Environment(folder)
    packages = environment.packages
    for found in _required(_requirements_of(wheel), extra):
        for file in found.files or ():
            source = Path(str(file.locate()))
            target = packages / file
            if ".." not in file.parts and source.is_file() and not target.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source)
    python = str(folder / "bin" / "python")
    _pip("--python", python, "install", "--no-index", "--no-deps", str(wheel))
    return environment


def _requirements_of(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    return [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]


def _required(texts: list[str], extra: str) -> Iterator[Distribution]:
    """Yield each distribution that these requirements need, once."""
    seen: set[tuple[str, str]] = set()
    waiting = [(text, extra) for text in texts]
    while waiting:
        text, wanted = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted}):
            continue
        for named in ("", *requirement.extras):
            if (requirement.name, named) in seen:
                continue
            seen.add((requirement.name, named))
            found = distribution(requirement.name)
            if not named:
                yield found
            waiting += [(each, named) for each in found.requires or ()]


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_LIMIT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
