"""What the worker does outside of workflow code: the activities, and what they are made of.

May import the package. Vendor libraries are imported in `planners/` and `tools/` alone.
"""
