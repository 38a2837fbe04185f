"""The HTTP API, version 1: the functions of the pages, for programs. Errors are problems (RFC 9457)."""
