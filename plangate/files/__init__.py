"""Private files, lock files, and atomic, durable writes. May import the domain only."""
