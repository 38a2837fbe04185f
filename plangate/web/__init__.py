"""The inbox: pages and an HTTP API for people who decide.

It does not enforce rules: a worker checks who may decide, and whether a proof is valid. It reads the records,
and keeps sessions in its own database. May import client, notifications and the layers below.
"""
