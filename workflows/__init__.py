"""What decides when: deterministic, and free of vendor libraries. ``gateway.py`` is the door for clients."""
