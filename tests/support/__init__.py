"""What several tests use: rigs, fakes, stand-in servers, and makers of test data."""
