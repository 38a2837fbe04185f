"""The MCP servers of a process, and the tools that they list.

Each server's tools are listed when the worker starts. A server that does not respond is unavailable: its last
listed tools are saved in ``var/mcp/`` but not offered, and it is queried again until it responds. If a call
finds that its tool has changed, the worker uses the new list. The worker also runs if a server is missing,
but not if the file is invalid.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from activities.tools.mcp.config import ServerConfig, read_config
from activities.tools.mcp.names import legal_name
from activities.tools.mcp.schema import Parts, SchemaRefused
from activities.tools.mcp.turns import Turns
from plangate.domain.errors import FileInvalid, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.domain.faults import Fault
from plangate.domain.plans.tool import RetrySafety, ToolArguments, ToolDeclaration
from plangate.files.durable_file import write_over
from plangate.settings import Settings
from plangate.tool.listing import ListedTool

if TYPE_CHECKING:
    from activities.tools.mcp.session import Offered
    from activities.tools.mcp.tool import McpTool

_INTERVAL_IF_UNAVAILABLE: Final = 20.0  # seconds
_INTERVAL: Final = 600.0
_MAX_SAVED: Final = 20_000_000
_NO_LIBRARY: Final = "its library is missing; install it with: pip install 'plangate[mcp]', or `make tools`"
_log = structlog.get_logger(__name__)


class McpServer:
    """One server with its last listed tools."""

    def __init__(self, config: ServerConfig, folder: Path) -> None:
        self.config = config
        self.unavailable_because = ""
        self._turns = Turns(config.name)
        self._tools: dict[str, McpTool] = {}
        self._logged: set[str] = set()
        self._has_listed = False
        self._saved_file = (
            folder / f"{hashlib.sha256(json.dumps(config.shared).encode()).hexdigest()[:32]}.json"
        )

    @property
    def tools(self) -> Collection["McpTool"]:
        """The last listed tools that Plangate can use."""
        return self._tools.values()

    async def refresh(self, *, save: bool) -> list[Fault]:
        """List the tools; return errors for file entries whose tools the server does not have.

        ``save``: whether to keep the list for times when the server is unavailable.
        """
        why, offered = "", []
        try:
            offered = await self._listed()
        except ToolUnavailable as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001  no server may stop the worker
            why = f"it cannot be listed ({type(error).__name__})"
        if why:
            if not self._has_listed:
                self.use(self._saved_tools())
            self._set_unavailable(why)
            return []
        await asyncio.to_thread(self.use, offered)  # checking many schemas takes seconds
        self._set_unavailable("")
        if save:
            self._save(offered)
        have = {self.config.secrets.hide(one.name) for one in offered}
        return [
            Fault(
                ("mcpServers", self.config.name, "plangate", key),
                f"contains {cut(one_line(name), 100)!r}, but the server has no such tool; it has: "
                f"{cut(one_line(', '.join(sorted(have))), 1_000) or 'none'}",
            )
            for key, name in self.config.trusted.named()
            if name not in have
        ]

    async def keep_refreshing(self) -> None:
        """List the tools at intervals until cancelled, more often while the server is unavailable."""
        while True:
            await asyncio.sleep(_INTERVAL_IF_UNAVAILABLE if self.unavailable_because else _INTERVAL)
            for fault in await self.refresh(save=True):
                self.log_once(f"The file of MCP servers has become invalid: {fault}")

    def use_saved(self) -> bool:
        """Use the list that a worker on this machine has saved; return whether there is one."""
        self.use(self._saved_tools())
        return bool(self._tools)

    def log_once(self, message: str) -> None:
        """Log a warning about this server, unless it was logged before."""
        if message not in self._logged:
            self._logged.add(message)
            _log.warning(message, action="mcp_listing", server=self.config.name)

    async def _listed(self) -> list["Offered"]:
        """Query the server.

        Raises:
            ToolUnavailable: it does not respond.
        """
        if find_spec("mcp") is None:
            raise ToolUnavailable(_NO_LIBRARY)
        if self.config.missing:
            raise ToolUnavailable(
                f"set {', '.join(self.config.missing)}, which PLANGATE_MCP_CONFIG uses for the MCP server "
                f"{cut(one_line(self.config.name), 100)}"
            )
        from activities.tools.mcp.session import list_tools  # noqa: PLC0415  imports the vendor's library

        return await list_tools(self.config)

    def use(self, offered: Sequence["Offered"]) -> None:
        """Use the server's list from now on; log the tools that Plangate cannot use."""
        allowed, counts = self.config.trusted.tools, Counter(one.name for one in offered)
        tools: dict[str, McpTool] = {}
        parts = Parts()
        for one in offered:
            if allowed is not None and one.name not in allowed:
                continue
            if self._name_contains_secret(one.name):
                self.log_once(self._not_offered(one.name, "its name contains a secret of its server"))
                continue
            if counts[one.name] > 1:
                self.log_once(self._not_offered(one.name, "it is listed more than once"))
                continue
            try:
                tools[one.name] = self._as_tool(one, parts)
            except SchemaRefused as error:
                self.log_once(self._not_offered(one.name, f"its schema {error}"))
            except Exception as error:  # noqa: BLE001  a server's list must not stop the worker
                message = f"Plangate cannot read it ({type(error).__name__})"
                self.log_once(self._not_offered(one.name, message))
        self._tools, self._has_listed = tools, True

    def _name_contains_secret(self, tool: str) -> bool:
        """Return whether a tool's name, which every plan and page shows, contains a secret of its server."""
        hide = self.config.secrets.hide
        return hide(tool) != tool or hide(legal_name(self.config.name, tool)) != legal_name(
            self.config.name, tool
        )

    def _as_tool(self, offered: "Offered", parts: Parts) -> "McpTool":
        from activities.tools.mcp.tool import tool_of  # noqa: PLC0415  imports the vendor's library

        before = self._tools.get(offered.name)
        if before is not None:
            return before.replaced_by(offered, parts)
        return tool_of(self.config, offered, self._turns, self.use, parts)

    def _not_offered(self, tool: str, why: str) -> str:
        shown = cut(one_line(self.config.secrets.hide(tool)), 100)
        return f"The tool {shown} of the MCP server {self.config.name} is not offered: {why}."

    def _set_unavailable(self, why: str) -> None:
        if why and why != self.unavailable_because:
            _log.warning(
                f"The tools of the MCP server {self.config.name} are not offered: {why}",
                action="mcp_away",
                server=self.config.name,
            )
        elif self.unavailable_because and not why:
            _log.info("An MCP server responds again.", action="mcp_back", server=self.config.name)
        self.unavailable_because = why
        for tool in self._tools.values():
            tool.unavailable_because = why

    # ---- the last list --------------------------------------------------------------------------

    def _save(self, offered: list["Offered"]) -> None:
        hidden = [
            self.config.secrets.hide_in([one.name, one.description, one.schema, one.output])
            for one in offered
        ]
        content = json.dumps(hidden).encode()
        try:
            if len(content) <= _MAX_SAVED and (
                not self._saved_file.exists() or self._saved_file.read_bytes() != content
            ):
                write_over(self._saved_file, content)
        except OSError as error:
            self.log_once(f"The tools that the MCP server {self.config.name} listed cannot be saved: {error}")

    def _saved_tools(self) -> list["Offered"]:
        if find_spec("mcp") is None:
            return []
        from activities.tools.mcp.session import Offered  # noqa: PLC0415  imports the vendor's library

        try:
            return [Offered(*one) for one in json.loads(self._saved_file.read_bytes())]
        except (OSError, ValueError, TypeError):
            return []


class McpServers:
    """All servers in the file that the settings specify."""

    def __init__(self, servers: Collection[McpServer], path: Path | None, taken: Collection[str]) -> None:
        """Create the object; ``taken``: the names of Plangate's other tools, which no MCP tool may have."""
        self._servers = servers
        self._path = path
        self._taken = frozenset(taken)

    @classmethod
    def from_settings(cls, settings: Settings, taken: Collection[str]) -> Self:
        """Read the file, without querying any server.

        Raises:
            FileInvalid: it cannot be used.
        """
        path = settings.mcp_config_file
        configs = read_config(path) if path is not None else ()
        return cls([McpServer(one, settings.var_dir / "mcp") for one in configs], path, taken)

    async def list_all(self, *, save: bool = True) -> None:
        """List the tools of all servers concurrently; save each list in case its server becomes unavailable.

        Raises:
            FileInvalid: the file lists a tool that its server does not have.
        """
        faults = list(chain(*await asyncio.gather(*(one.refresh(save=save) for one in self._servers))))
        if faults:
            raise FileInvalid(str(self._path), faults)

    async def list_if_not_saved(self) -> None:
        """List the tools of each server for which no worker on this machine has saved a list.

        For a command that checks a plan, a saved list is enough, because the worker checks the plan again.
        """
        unknown = [one for one in self._servers if not one.use_saved()]
        await asyncio.gather(*(one.refresh(save=False) for one in unknown))

    async def keep_refreshing(self) -> None:
        """List unavailable and changed servers again, until cancelled."""
        await asyncio.gather(*(one.keep_refreshing() for one in self._servers))

    def tools(self) -> Mapping[str, "McpTool"]:
        """Return the tools by name; two tools with the same name are both omitted."""
        found: dict[str, list[tuple[McpServer, McpTool]]] = {}
        for server in self._servers:
            for tool in server.tools:
                found.setdefault(tool.declaration.name, []).append((server, tool))
        usable = {}
        for name, same in found.items():
            if len(same) == 1 and name not in self._taken:
                usable[name] = same[0][1]
                continue
            of = "; ".join(f"{tool.offered.name!r} of {server.config.name}" for server, tool in same)
            for server, _ in same:
                server.log_once(
                    f"The name {name}, for {cut(one_line(of), 300)}, is "
                    f"{'taken by another tool' if name in self._taken else 'not unique'}. Rename a server."
                )
        return usable

    @property
    def shared(self) -> list[dict[str, Any]]:
        """The file's content without its secrets, for comparing workers."""
        return [one.config.shared for one in self._servers]

    def listed(self) -> Iterator[ListedTool]:
        """Yield each tool for the command `tools`, and one entry per server whose tools are unknown."""
        for tool in self.tools().values():
            yield ListedTool(tool.declaration, tool.defined_by(), lacks=tool.lacks() or "", has_preview=True)
        for server in self._servers:
            if server.unavailable_because and not server.tools:
                yield ListedTool(
                    _unknown(server.config.name),
                    f"the MCP server {server.config.name}",
                    server.unavailable_because,
                )


def _unknown(server: str) -> ToolDeclaration:
    return ToolDeclaration(
        name=legal_name(server, "tools"),
        description=f"The tools of the MCP server {server}, which are not known.",
        arguments=ToolArguments,
        retry_safety=RetrySafety.UNKNOWABLE,
    )
