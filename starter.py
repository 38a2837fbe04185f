"""The command line of this application: `plangate`, and what needs the worker's tools."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plangate.own_python import use_own_python

use_own_python()

from plangate.cli.app import main
from plangate.cli.application import register_tools
from plangate.process_end import end_process

if TYPE_CHECKING:
    from plangate.domain.tool import ToolDeclaration


def _declared() -> "Mapping[str, ToolDeclaration]":
    from activities.tools.registry import declarations  # noqa: PLC0415  slow, and seldom needed

    return declarations()


register_tools(_declared)

__all__ = ["main"]

if __name__ == "__main__":
    end_process(main())
