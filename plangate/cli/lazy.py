"""Commands that are imported when they are run, so that `--help` is fast.

This is the lazy group from Click's documentation ("Complex Applications") with one addition. When a command's
module is imported, the package's modules that it imports are located but not executed. Each is executed at
its first use (`importlib.util.LazyLoader`), after the options were parsed.

This module imports few others, because ``--help`` imports it.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

import click

from plangate.cli.answer import reserve_stdout
from plangate.cli.application import require_application
from plangate.files.working_directory import require_working_directory

_PACKAGE = "plangate."


class LazyCommand(click.Command):
    """A command that is imported when it is run; until then only its name and help line are known.

    Args:
        name: the name to type.
        where: the command, as ``module:function``.
        short_help: its line in the help of its group: the first sentence of the function's docstring.
        needs_application: whether it needs the application that `starter.py` adds to the package.
    """

    def __init__(self, name: str, where: str, short_help: str, *, needs_application: bool = False) -> None:
        super().__init__(name, short_help=short_help)
        self._where = where
        self._needs_application = needs_application

    def load(self) -> click.Command:
        """Import the command with its options."""
        module, _, function = self._where.partition(":")
        with _lazy_imports():
            found: click.Command = getattr(import_module(module), function)
        return found

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse ``args`` as the command does, and reserve stdout until it ends. ``Any`` is Click's.

        Raises:
            OperatorError: the command needs an application, but only the package was started.
        """
        if self._needs_application:
            require_application()
        try:
            context = self.load().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:  # not every error names its command
            error.ctx = error.ctx or click.Context(self, parent, info_name)
            raise
        require_working_directory()
        context.with_resource(reserve_stdout())
        return context


class _LazyModules(MetaPathFinder):
    """Finds modules of the package, which are executed at their first use."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the package; nearly empty packages are executed immediately."""
        if not fullname.startswith(_PACKAGE):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations is None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def _lazy_imports() -> Iterator[None]:
    finder = _LazyModules()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
