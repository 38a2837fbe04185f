"""Code for several tests: rigs, fakes, stand-in servers, and generators of test data."""
