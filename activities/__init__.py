"""The worker's I/O: activities, planners and tools. Vendor libraries are used only in the folders below."""
