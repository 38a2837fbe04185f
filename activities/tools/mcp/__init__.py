"""Tools of MCP servers: `config` reads the file, `servers` lists; `session` and `process` import `mcp`."""
