"""Test the promises of a tool's retry safety with real crashes: `check-tool`.

Two processes load the tool, like two workers. The first one acts and is killed; the second one takes over as
a worker would. Needs only the base package.
"""
