"""Configure logging, and redact secrets. May import settings, the domain and Temporal's library."""
