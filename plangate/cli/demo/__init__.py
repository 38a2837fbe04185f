"""The demo: a run from request to outcome. Only the customer is fictional; the processes are real."""
