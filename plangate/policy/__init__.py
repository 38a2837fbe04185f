"""Read the policy, its conditions and the list of people, and derive the approvals that a plan requires.

May import signing (for public keys), settings and the domain. `cel` evaluates the conditions.
"""
