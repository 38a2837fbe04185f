"""Commands that are imported when they are run, so that `--help` is fast.

This is the lazy group from Click's documentation ("Complex Applications") with one addition. When a command's
module is imported, the package's modules that it imports are located but not executed. Each is executed at
its first use (`importlib.util.LazyLoader`), after the options were parsed.

This module imports few others, because ``--help`` imports it.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from plangate.cli.application import require_application
from plangate.cli.exits import Act

_PACKAGE = "plangate."


class LazyCommand(TyperCommand):
    """A command that is imported when it is run; until then only its name and help line are known.

    Args:
        name: the name to type.
        where: the command's function, as ``module:function``.
        short_help: its line in the help of its group: the first sentence of the function's docstring.
        needs_application: whether it needs the application that `starter.py` adds to the package.
    """

    def __init__(self, name: str, where: str, short_help: str, *, needs_application: bool = False) -> None:
        super().__init__(name, short_help=short_help, rich_markup_mode=None)
        self._where = where
        self._needs_application = needs_application

    def load(self) -> TyperCommand:
        """Import the command's function and return the command that its parameters define."""
        found = self._function()
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        app.command(self.name)(_postponed(found))
        command = get_command(app)
        assert isinstance(command, TyperCommand)
        return command

    def act(self) -> Act:
        """Import a command without options, and return a function that runs it."""
        return partial(self._function())

    def _function(self) -> Callable[..., int]:
        module, _, function = self._where.partition(":")
        with _lazy_imports():
            found: Callable[..., int] = getattr(import_module(module), function)
        return found

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse ``args`` as the command does. ``Any`` is a class of Typer's own copy of Click.

        Raises:
            OperatorError: the command needs an application, but only the package was started.
        """
        if self._needs_application:
            require_application()
        return self.load().make_context(info_name, args, parent, **extra)


def _postponed(function: Callable[..., int]) -> Callable[..., Act]:
    """Wrap ``function`` so that a call returns a function that runs it, for `plangate.cli.app`."""

    @wraps(function)
    def postponed(**typed: Any) -> Act:
        return partial(function, **typed)

    return postponed


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
