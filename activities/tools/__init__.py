"""The tools: one folder for each, and their registry. Vendor libraries stay inside these folders."""
