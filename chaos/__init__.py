"""`make chaos`: kill, flood, fuzz and starve a whole Plangate of real processes, and count what happened.

Effects are counted where they happen (the mails in the outbox, the log of a service that the harness runs),
not by Plangate's own records. Each scenario is one file; tests/acceptance runs a smaller size of each.
"""
