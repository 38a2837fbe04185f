"""The built-in tools, in one folder for each service, their registry, and shared functions.

Vendor libraries are imported only in the folders.

To add your own tool, write a function with `plangate.tool.tool` and name it in ``PLANGATE_TOOLS``: Plangate
itself need not be changed (docs/howto-add-a-tool.md).
"""
