"""How long tests wait for a program before they fail."""

# An idle machine needs seconds, so this only shows that something never happens, even on a slow or busy one.
WAIT_LIMIT = 120.0
