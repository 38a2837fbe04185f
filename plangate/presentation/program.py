"""The program name in printed commands; it depends on how the command line was started."""

_called = ["python starter.py"]


def program() -> str:
    """Return the program name for commands that people copy."""
    return _called[0]


def call_it(name: str) -> None:
    """Set the program name."""
    _called[0] = name
