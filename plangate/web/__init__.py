"""The inbox: pages and an HTTP API for people who decide. May import client, presentation and audit.

It holds no rule: who may decide, and whether a proof is good, is judged by a worker's admission. It reads the
records, and keeps sessions in a database of its own.
"""
