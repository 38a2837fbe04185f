"""What people type before a command: it depends on how this command line was started."""

_called = ["python starter.py"]


def program() -> str:
    """Return what stands before a command in words that people copy."""
    return _called[0]


def call_it(name: str) -> None:
    """Let `program` return ``name`` from now on."""
    _called[0] = name
