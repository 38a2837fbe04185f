"""Working time, durations, reminders, and the times at which steps may begin.

May import the modules of ``plangate.domain`` itself, but no other folder of it.
"""
