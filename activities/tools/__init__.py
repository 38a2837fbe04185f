"""The tools: one file for each act a step can take in the world. Vendor libraries are imported here only."""
