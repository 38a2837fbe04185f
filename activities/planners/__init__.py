"""The planners, which make plans from requests. AutoGen and the model clients are imported only here."""
