"""The built-in tools, each in its own folder, and the registry. Vendor libraries stay inside these folders.

To add your own tool, write a function with `plangate.tool.tool` and name it in ``PLANGATE_TOOLS``: Plangate
itself does not change (docs/howto-add-a-tool.md).
"""
