"""The worker's side effects: the activities, with the planners and the tools.

May import the package. Vendor libraries are imported only in `planners/` and `tools/`, which only `worker.py`
imports: it passes planners and tools to the activities.
"""
