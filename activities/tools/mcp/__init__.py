"""Tools of MCP servers: `config` reads the file, `servers` lists tools; the rest uses the `mcp` SDK."""
