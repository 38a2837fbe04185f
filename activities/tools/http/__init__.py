"""The tool `http_request`: one request to an allowed host, at the address that was checked."""
