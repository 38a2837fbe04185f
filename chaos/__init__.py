"""`make chaos`: test a whole installation with kills, floods, bad input and full disks, and count effects.

Effects are counted where they happen (the emails in the outbox, the log of a service that the harness runs),
not in Plangate's own records. Each scenario is one file; tests/acceptance runs a smaller version of each.
"""
