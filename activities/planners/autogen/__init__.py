"""The planner built on AutoGen and a model; the only package that imports AutoGen."""
