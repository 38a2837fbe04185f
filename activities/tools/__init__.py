"""The tools, each in its own folder, and their registry. Vendor libraries stay inside these folders."""
