"""Test the promises of a tool's retry safety with real crashes: `check-tool`.

Two processes load the tool, like two workers. The first process makes the call and is killed; the second one
takes over as a worker would. This needs only the base package.
"""
