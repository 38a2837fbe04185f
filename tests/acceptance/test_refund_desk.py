"""The refund desk of the examples runs completely, with real processes and without a network."""

import subprocess
import sys

from plangate.settings import PROJECT


def test_the_refund_desk_example_refunds_once_is_held_once_and_verifies_its_trail():
    script = PROJECT / "examples" / "refund-desk" / "scenario.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    _, _, counted = done.stdout.partition("What happened at the servers:")
    assert counted.count("✓") == 4
    assert "✗" not in counted
    assert 'state was "open", is now "closed"' in done.stdout
    assert "Verified: nothing was changed." in done.stdout
