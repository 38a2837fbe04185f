"""Generate bad input other than signals: run inputs, plan files, command lines."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from tests.support.junk import json_values

JUNK_WORDS = (
    "", " ", "-", "--", "--json", "--plan", "--by", "x" * 5_000, "\x1b[2J\x1b[31m", "\u202edana", "💥",
    "a\nb", "../../etc/passwd", "-1", "0", "NaN", "999999999999h", "1e9", "%s%n", "'; DROP TABLE runs; --",
    "$(reboot)", "00000000", "deadbeef0123", "\ufeff", "null", "{}",
)  # fmt: skip
_GOOD_PLAN: dict[str, Any] = {
    "summary": "Tell Kim",
    "steps": [
        {
            "tool": "send_email",
            "arguments": {"to": ["kim@example.org"], "subject": "fuzz", "body": "Hello"},
            "reason": "asked for",
        }
    ],
}
_YAML_TRICKS = (
    "summary: !!python/object/apply:os.system ['touch {path}']\nsteps: []\n",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nsummary: *c\nsteps: [*c, *c]\n",
    "summary: x\nsteps:\n- <<: {tool: send_email}\n  arguments: {}\n",
    "summary: x\nsummary: y\nsteps: []\n",
    "%YAML 9.9\n---\nsummary: x\n",
    "--- a\n--- b\n",
    "summary: 2026-01-01\nsteps: 0o17\n",
    "\tsummary: x\n",
    "summary: " + "[" * 5_000,
    "? [complex, key]\n: value\n",
    "summary: !<tag:evil> x\nsteps: *nowhere\n",
)
_UNREADABLE = (
    RawValue(Payload(metadata={"encoding": b"binary/encrypted"}, data=b"\x00")),
    RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{not json")),
    RawValue(Payload(metadata={}, data=b"")),
)

requests = st.fixed_dictionaries(
    {},
    optional={
        "requester": st.sampled_from(["rita", "", "ri\u200bta", "r" * 101]) | json_values,
        "request": st.sampled_from(["", " ", "x" * 20_001]) | json_values,
        "plan": json_values | st.just({**_GOOD_PLAN, "steps": []}),
        "timeout_seconds": st.integers(-(10**12), 10**12) | json_values,
        "carried": json_values,
        "approved": st.just(True),
    },
)
starts = st.lists(requests | json_values, max_size=3) | st.sampled_from(_UNREADABLE).map(lambda raw: [raw])


def plan_file(rng: Random) -> tuple[str, bytes]:
    """Return the name and the content of one bad plan file; a few are valid by chance."""
    suffix = rng.choice(["json", "yaml", "yml", "txt", ""])
    match rng.randrange(5):
        case 0:
            return f"plan.{suffix}", rng.randbytes(rng.randrange(200))
        case 1:
            return "plan.yaml", rng.choice(_YAML_TRICKS).encode()
        case 2:
            return f"plan.{suffix}", json.dumps(_with_bad_part(_GOOD_PLAN, rng)).encode()
        case 3:
            return f"plan.{suffix}", _with_changed_characters(json.dumps(_GOOD_PLAN), rng).encode(
                errors="replace"
            )
        case _:
            text = "summary: x\nsteps:\n- tool: send_email\n  arguments: {to: [a@b.c], subject: s, body: b}\n"
            return f"plan.{suffix}", _with_changed_characters(text, rng).encode(errors="replace")


def command_line(rng: Random, run: str, plan_path: str) -> list[str]:
    """Return the arguments of one command line, which is never a valid decision."""

    def junk() -> str:
        return rng.choice(JUNK_WORDS)

    anywhere = rng.choice([run, run, "no-such-run", junk()])
    nowhere = rng.choice(["no-such-run", junk()])
    by = rng.choice(["dana", "rita", junk()])
    lines: Sequence[list[str]] = [
        ["start", "--plan", plan_path, "--no-wait", "--requester", by],
        ["start", junk(), "--no-wait", "--id", junk(), "--timeout", junk()],
        ["start", "do it", "--no-wait", "--timeout", junk(), "--requester", junk()],
        ["start", "do it", "--no-wait", "--id", run],
        ["status", anywhere],
        ["audit", anywhere, "--json"],
        [rng.choice(["approve", "reject"]), anywhere, "--by", by, "--plan", junk(), "--comment", junk()],
        ["request-changes", anywhere, "--by", by, "--plan", "deadbeef0123", "--comment", junk(), "--json"],
        ["approve", anywhere, "--by", "dana"],
        ["withdraw", nowhere, "--by", junk()],
        ["watch", nowhere],
        [junk(), junk(), junk()],
        [rng.choice(["pending", "tools", "status"]), junk()],
    ]
    words = list(rng.choice(lines))
    if rng.random() < 0.2:
        words.insert(rng.randrange(len(words) + 1), junk())
    return [word.replace("\0", "") for word in words]


def _with_bad_part(value: Any, rng: Random) -> Any:
    """Return the input with one part replaced or removed."""
    if rng.random() < 0.3 or not isinstance(value, (dict, list)) or not value:
        return rng.choice([None, True, -1, 2**60, 1.5, "", "x" * 3_000, [], {}, [[[]]], {"": None}, "\u202e"])
    changed = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    key = rng.choice(list(changed))
    if rng.random() < 0.3:
        del changed[key]
    else:
        changed[key] = _with_bad_part(changed[key], rng)
    return changed if isinstance(value, dict) else list(changed.values())


def _with_changed_characters(text: str, rng: Random) -> str:
    """Return the text with a few characters removed, doubled or replaced."""
    letters = list(text)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(letters))
        letters[at] = rng.choice(
            ["", letters[at] * 2, "\x00", "\ud800", "{", "]", ":", "\t", "\u2028", "&a ", "'"]
        )
    return "".join(letters)
