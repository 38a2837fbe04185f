"""localstripe without its file on disk: ``python -m tests.support.localstripe --port N --from-scratch``.

localstripe pickles all its data to a file in /tmp several times in each request that changes something, so
each request takes longer than the previous one. No test reads that file. This replaces Python's own
`pickle.dump` in this process, and then runs localstripe unchanged.
"""

import pickle
import runpy

if __name__ == "__main__":
    pickle.dump = lambda *_, **__: None
    runpy.run_module("localstripe", run_name="__main__", alter_sys=True)
