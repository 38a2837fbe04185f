"""Sign and verify decisions, orders and checkpoints. May import files and the domain."""
