"""Make MCP tools available by name: ``check-tool activities.tools.mcp.named:files_write_file``.

Each tool of the servers in ``PLANGATE_MCP_CONFIG`` is an attribute of this module.
"""

import asyncio

from activities.tools.mcp.servers import McpServers
from plangate.settings import load_settings
from plangate.tool import Tool


def __getattr__(name: str) -> Tool:
    if not name.startswith("__"):
        servers = McpServers.from_settings(load_settings(), ())
        asyncio.run(servers.list_all(save=False))
        tool = servers.tools().get(name)
        if tool is not None:
            return tool
    raise AttributeError(name)
