"""The messages of people: decisions on plans, delegations, requests about keys, and accesses by auditors.

`plangate.domain.runs.review` accepts or refuses decisions. Requests to stop are in
`plangate.domain.runs.stops`, because they depend on the policy.

May import ``people`` and everything that it may import.
"""
