"""Keys, tokens, signed decisions and signed checkpoints. May import files and the domain."""
