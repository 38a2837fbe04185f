"""Who may approve what: the policy, its conditions, the list of people, and what a plan needs by them.

May import signing (for public keys), settings and the domain.
"""
