"""The demo: the whole story, told by real processes. Nothing in it is faked but the customer."""
