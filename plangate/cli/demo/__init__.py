"""The demo: a run from request to outcome, with real processes. Only the customer is fictional."""
