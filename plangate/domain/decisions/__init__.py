"""The messages of people: decisions on plans, delegations, requests about keys, and accesses by auditors.

May import ``people`` and everything that it may import.
"""
