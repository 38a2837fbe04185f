"""No text is lost or truncated on a narrow terminal: real processes on pseudo-terminals.

Text that is wider than the terminal must be on its own line, so that it can be copied.
"""

import re
import shlex
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from plangate.domain.plans.plan import Plan, Step, fingerprint_of
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Drafted, Requested, RunRef
from plangate.records.trail import Note, open_trail
from plangate.settings import PROJECT
from tests.support.fakes import AUDIENCE
from tests.support.fresh_records import fresh_records
from tests.support.program import Home, Terminal, Typed
from tests.support.screen import Screen

WIDTHS = (60, 80, 100, 200)
NARROW = 80
BANK = PROJECT / "examples" / "bank"
REQUESTERS = ("rita", "bartholomew", "wilhelmina")
BODY = "Dear customer,\n\nthank you for telling us that you were charged twice for one order.\nYours"
EACH = """\
import shlex, sys
from pathlib import Path
sys.path.insert(0, {project!r})
import starter
for line in Path(sys.argv[1]).read_text().splitlines():
    sys.argv = ["starter.py", *shlex.split(line)]
    print("$", "starter.py", flush=True)
    code = starter.main()
    sys.stdout.flush()
    assert code == 0, (line, code)
"""


def drafted(workflow_id: str, at: datetime) -> Drafted:
    arguments = {
        "to": ["customer-4711@example.com", "billing-department@subsidiary.example.com"],
        "subject": "Your double charge of 3 May: we are looking into it",
        "url": "https://tickets.example.com/api/v2/organisations/0815/tickets?priority=high",
        "body": BODY,
    }
    steps = tuple(
        Step(tool=tool, arguments=arguments, reason="the customer asked for it") for tool in ("note", "mail")
    )
    plan = Plan(summary="Open a ticket with the billing team, then tell the customer about it", steps=steps)
    return Drafted(
        revision=1,
        plan=plan,
        fingerprint=fingerprint_of(plan, 1, workflow_id, AUDIENCE),
        audience=AUDIENCE,
        requirement=Requirement(needs=(Need(role="finance", count=2), Need(role="operations", count=1))),
        drafted_at=at,
        deadline=at + timedelta(hours=60),
    )


@pytest.fixture(scope="module", autouse=True)
def in_berlin() -> Iterator[None]:
    """Set this process to the same zone as the processes that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Records with waiting runs, but no running process."""
    settings: dict[str, str | None] = {
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "TZ": "Europe/Berlin",
        "PLANGATE_PEOPLE": str(BANK / "people.toml"),
    }
    home = Home(tmp_path_factory.mktemp("narrow") / "var", settings)
    home.var_dir.mkdir()
    database = fresh_records(home.var_dir / "records.db")
    now = datetime.now(UTC)
    with database.write() as connection:
        for requester in REQUESTERS:
            workflow_id = f"plan-of-{requester}"
            requested = Requested(
                request="Customer 4711 was charged twice for one order; open a ticket and tell the customer.",
                requester=requester,
                timeout_seconds=60,
                requested_at=now,
            )
            run = RunRef(workflow_id=workflow_id, chain_id="c", requested=requested)
            event = drafted(workflow_id, now)
            open_trail(connection, run).append(Note(key="drafted:1", at=now, actor="w", event=event))
    database.close()
    return home


def screens(home: Home, folder: Path, width: int, commands: list[str]) -> dict[str, Screen]:
    """The screen after each of these commands; one process runs them all, to save startup time."""
    program, lines = folder / "each.py", folder / "commands"
    program.write_text(EACH.format(project=str(PROJECT)))
    lines.write_text("\n".join(commands))
    terminal = Terminal(home, str(lines), width=width, program=str(program))
    try:
        assert terminal.ends() == 0, terminal.screen
    finally:
        terminal.close()
    _, *written = terminal.written.split("$ starter.py\r\n")
    return {command: Screen(width).feed(one) for command, one in zip(commands, written, strict=True)}


def words_of(text: str) -> set[str]:
    return set(text.replace("│", " ").replace("┊", " ").replace("─", " ").split())


@pytest.mark.parametrize("width", WIDTHS)
def test_no_command_cuts_or_breaks_text_at_any_width(
    records: Home, typing: Callable[[Home], Typed], tmp_path: Path, width: int
) -> None:
    typed = typing(records)
    policy, plan = BANK / "policy.toml", BANK / "two-from-finance.yaml"
    run = f"plan-of-{REQUESTERS[1]}"
    commands = [f"status {run}", "pending", "audit list"]
    if width <= NARROW:
        commands += [
            f"audit show {run}",
            "tools",
            "people check",
            f"policy check {policy}",
            f"policy explain --policy {policy} --plan {plan}",
        ]
    for command, screen in screens(records, tmp_path, width, commands).items():
        plain = typed(*shlex.split(command)).out
        if "──" in plain:  # without space for a table, empty cells and their headings are omitted
            plain = plain.split("\n", 2)[2]
        copied = {word for word in words_of(plain) if len(word) > width - 30}
        missing = words_of(plain) - words_of(screen.text) - copied
        assert not missing, f"{command}:\n{screen.text}"
        together = "".join(screen.text.replace("┊", "").split())
        assert all(word in together for word in copied), f"{command}:\n{screen.text}"
        assert all(line.strip().count(" ") == 0 for line in screen.wrapped), f"{command}: {screen.wrapped}"


def test_in_a_pipe_lines_are_not_wrapped(records: Home, typing: Callable[[Home], Typed]) -> None:
    typed = typing(records)
    for command in ("pending", "audit list"):
        lines = typed(*command.split()).out.splitlines()
        named = {line.split()[0] for line in lines if "plan-of" in line}
        assert named == {f"plan-of-{who}" for who in REQUESTERS}


def test_times_are_in_the_readers_time_zone_followed_by_utc(
    records: Home, typing: Callable[[Home], Typed]
) -> None:
    status = typing(records)("status", "plan-of-rita").out
    (deadline,) = [line for line in status.splitlines() if line.startswith("  deadline")]
    assert re.search(
        r" \d+ \w{3}( \d{4})? \d\d:\d\d (CET|CEST) \((\d+ \w{3} )?\d\d:\d\d UTC\), in 2 days 11 h$", deadline
    )


def test_watch_shows_every_line_and_the_whole_plan(
    plangate: Home, typing: Callable[[Home], Typed], mail_plan: Path
) -> None:
    typed, run = typing(plangate), f"run-{uuid4().hex[:8]}"
    started = typed("start", "--plan", str(mail_plan), "--id", run, "--requester", "rita", "--json")
    plan = started.json["fingerprint"]
    watchers = {width: Terminal(plangate, "watch", run, width=width) for width in WIDTHS}
    try:
        for watcher in watchers.values():
            watcher.sees("[l]ater?")
        assert typed("approve", run, "--by", "dana", "--plan", plan).code == 0
        for width, watcher in watchers.items():
            assert watcher.ends() == 0
            screen = Screen(width).feed(watcher.written)
            shown = "".join(screen.text.replace("┊", "").split())
            for line in (
                f"Plan {plan[:12]}, revision 1: Tell Ann",
                f"{run} is in review.",
                f"{run} waits for 1 approval by anyone but the requester",
                f"fingerprint {plan}",
                "Step 1 of 1: send_email",
                'to ["ann@example.org"] cc [] subject "Done"',
                "│ Hello Ann, │ it is done.",
                "No decision is needed now: the run is",
                f"dana: approve {plan[:12]}, accepted: approved; the plan can run now",
                "Step 1 of 1, send_email: done",
                "Source: the",
            ):
                assert "".join(line.split()) in shown, f"{line!r} at {width}:\n{screen.text}"
            assert [line.strip() for line in screen.wrapped] == ([plan] if width == WIDTHS[0] else [])
            assert "⠋" not in screen.text
    finally:
        for watcher in watchers.values():
            watcher.close()
