"""The command line of this application: `plangate`, and the commands that need the worker's tools."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from plangate.own_python import use_own_python

use_own_python()

from plangate.cli.app import main
from plangate.cli.application import register_tools
from plangate.presentation.program_name import name_from_here, set_program
from plangate.process_end import end_process

if TYPE_CHECKING:
    from plangate.domain.plans.tool import ToolDeclaration
    from plangate.tool.listing import ListedTool


def _declared() -> "Mapping[str, ToolDeclaration]":
    from activities.tools.registry import all_declarations  # noqa: PLC0415  slow, and rarely needed
    from plangate.settings import load_settings  # noqa: PLC0415  as above

    return all_declarations(load_settings())


def _listed() -> "Sequence[ListedTool]":
    from activities.tools.registry import listed_tools  # noqa: PLC0415  as above
    from plangate.settings import load_settings  # noqa: PLC0415  as above

    return listed_tools(load_settings())


register_tools(_declared, _listed)

__all__ = ["main"]

if __name__ == "__main__":
    set_program(name_from_here(sys.argv[0]))
    end_process(main())
