"""The client: submit a plan, decide, ask where a run stands, wait, list.

May import presentation, records, temporal and what is below; it names the workflow by its type alone.
"""
