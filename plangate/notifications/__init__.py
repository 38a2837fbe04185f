"""Notify people who are needed, reminded or no longer needed, and report how a request ended.

A notifier reads the trails outside of workflows, as sealing does; workflows do not depend on it. `due`
derives the notices from a trail; `plangate.records.notices` is the ledger of sent messages; channels send.
May import `plangate.presentation` and the layers below.
"""
