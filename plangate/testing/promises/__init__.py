"""What a tool promises by its retry safety, and a test of it by real crashes: `check-tool`.

Two processes load the tool, like two workers. The first one acts and is killed; the second one takes over as
a worker would. Needs the base package alone.
"""
