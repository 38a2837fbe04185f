"""Who may approve what: the policy, its conditions, the list of people, and what a plan then requires.

May import signing (for public keys), settings and the domain.
"""
