"""The planner that AutoGen and a model make; the only place that imports AutoGen."""
