"""What is logged, and what never is. May import settings, the domain and Temporal's library."""
