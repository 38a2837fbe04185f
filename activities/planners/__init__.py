"""The planners: what turns a request into a plan. AutoGen and the model clients are imported only here."""
