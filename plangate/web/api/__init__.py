"""The HTTP API, version 1: what the pages do, for programs. Errors are problems (RFC 9457)."""
