"""Everything that touches the world. The shells here are thin; vendor libraries live in the folders below."""
