"""Code for several tests: test setups, fakes, fake servers, and generators of test data."""
