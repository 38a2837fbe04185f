"""The demo: a run from request to outcome, with real processes and a fictional customer."""
