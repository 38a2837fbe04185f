"""The registry: the tools that come with Plangate, and the tools of other packages.

Reading the declarations does not build any tool or import any vendor library, so the command line can do it.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from activities.tools.email.tool import SendEmail
from activities.tools.http.tool import HttpRequest
from activities.tools.mcp.servers import McpServers
from activities.tools.stripe.payment import CreatePayment
from activities.tools.stripe.refund import RefundPayment
from activities.tools.tickets.tools import CommentTicket, CreateTicket
from plangate.domain.errors import OperatorError, SettingsInvalid
from plangate.domain.plans.plan import MAX_TOOL_NAME, TOOL_NAME
from plangate.domain.plans.tool import REASON_ARGUMENT, ToolDeclaration
from plangate.settings import Settings
from plangate.tool import Observes, Previews, Tool, ToolClass, lacks_of, settles_within_of
from plangate.tool.listing import BUILT_IN, ListedTool
from plangate.tool.loading import Found, installed_tools, named_tools

TOOLS: Final[tuple[ToolClass, ...]] = (
    SendEmail,
    HttpRequest,
    CreateTicket,
    CommentTicket,
    RefundPayment,
    CreatePayment,
)


def registered(settings: Settings) -> list[Found]:
    """Return Plangate's tools, the tools of installed packages, and the tools listed in the settings.

    Raises:
        OperatorError: a tool cannot be used, or two have the same name.
    """
    own = [Found(tool, BUILT_IN) for tool in TOOLS]
    return list(_checked([*own, *installed_tools(), *named_tools(settings.tools)]))


def declarations(tools: Iterable[ToolClass] = TOOLS) -> Mapping[str, ToolDeclaration]:
    """Return each tool's declaration by its name."""
    return _declared(_checked(Found(tool, BUILT_IN) for tool in tools))


def all_declarations(settings: Settings) -> Mapping[str, ToolDeclaration]:
    """Return the declaration of each registered tool by its name.

    Raises:
        OperatorError: a tool cannot be used, or two have the same name.
    """
    found = _declared(registered(settings))
    servers = McpServers.from_settings(settings, found)
    _finish(servers.list_if_not_saved())
    return {**found, **{name: tool.declaration for name, tool in servers.tools().items()}}


def build_tools(settings: Settings) -> Mapping[str, Tool]:
    """Build all registered tools, and return them by name; only worker.py calls this.

    Raises:
        OperatorError: a tool cannot be used, or two have the same name.
        SettingsInvalid: a setting of a tool cannot be used.
    """
    return {one.tool.declaration.name: one.tool.from_settings(settings) for one in registered(settings)}


def listed_tools(settings: Settings) -> list[ListedTool]:
    """Return each registered tool for the command `tools`, with its missing settings.

    Raises:
        OperatorError: a tool cannot be used, or two have the same name.
    """
    found = [_listed(found, settings) for found in registered(settings)]
    servers = McpServers.from_settings(settings, [one.declaration.name for one in found])
    _finish(servers.list_all(save=False))
    return [*found, *servers.listed()]


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` to completion, even if the caller runs in an event loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


def _listed(found: Found, settings: Settings) -> ListedTool:
    declaration = found.tool.declaration
    try:
        tool = found.tool.from_settings(settings)
    except SettingsInvalid as error:
        return ListedTool(declaration, found.origin, lacks=str(error))
    return ListedTool(
        tool.declaration,  # undoability may depend on the settings
        found.origin,
        lacks=lacks_of(tool),
        has_preview=isinstance(tool, Previews),
        has_precondition=isinstance(tool, Observes),
        settles_within=settles_within_of(tool),
    )


def _declared(found: Iterable[Found]) -> Mapping[str, ToolDeclaration]:
    return {one.tool.declaration.name: one.tool.declaration for one in found}


def _checked(found: Iterable[Found]) -> Iterator[Found]:
    """Yield each tool once.

    Raises:
        OperatorError: a tool cannot be used, or two have the same name.
    """
    seen: dict[str, Found] = {}
    for one in found:
        name = one.tool.declaration.name
        if not TOOL_NAME.fullmatch(name):
            raise OperatorError(
                f"{name!r} is not a valid tool name; use a letter, then a-z, 0-9 and _, {MAX_TOOL_NAME} "
                "characters at most."
            )
        if name in seen and seen[name].tool is one.tool and one.origin != BUILT_IN:
            continue  # a tool can be found in two ways, for example through an entry point and a setting
        if name in seen:
            raise OperatorError(
                f"Two tools are called {name} ({seen[name].origin}; {one.origin}); rename one of them."
            )
        if REASON_ARGUMENT in one.tool.declaration.schema().get("properties", {}):
            raise OperatorError(
                f"The tool {name} has an argument called '{REASON_ARGUMENT}', which is reserved for the "
                "reason of a step; rename it."
            )
        seen[name] = one
        yield one
