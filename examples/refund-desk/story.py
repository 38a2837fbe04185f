"""The refund desk: a refund, a ticket, a comment and an email, with a ticket that changes in between.

``make example`` runs it. Plangate, its worker, its server and its tools are real. Servers on this machine
replace Stripe and GitHub, and emails are written to a folder, so no request leaves the machine. The script
counts the effects at those servers, and exits with 1 if an effect happened twice, or before its approval.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
PROJECT: Final = HERE.parent.parent
sys.path.insert(0, str(PROJECT))

from tests.support.faulty_server import FaultyServer  # noqa: E402  the line above finds it
from tests.support.github_server import GitHubServer  # noqa: E402
from tests.support.stripe_server import KEY, StripeServer, stripe_server  # noqa: E402

RUN: Final = "refund-4711"
REPOSITORY: Final = "acme/support"
TOKEN: Final = "a-token-of-the-stand-in"  # noqa: S105  not a secret: the only token of the server below
PATIENCE: Final = 60.0  # seconds within which the worker must be ready, or the run must reach a state
PAID: Final = 25_000  # cents
REFUNDED: Final = 4_250


@dataclass
class Desk:
    """The servers around Plangate, and the folder for its commands."""

    folder: Path
    stripe: StripeServer
    payment: str
    github: GitHubServer
    environment: Mapping[str, str]

    def run(self, *words: str) -> str:
        """Run a command of starter.py and return its output.

        Raises:
            SystemExit: it failed.
        """
        command = [sys.executable, str(PROJECT / "starter.py"), *words]
        done = subprocess.run(  # noqa: S603  our own program
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def typed(self, *words: str, until: str = "\0") -> None:
        """Run a command and print its output, or the part before ``until``."""
        say(f"\n$ python starter.py {shlex.join(words)}")
        printed, cut, _ = self.run(*words).partition(until)
        say(printed.rstrip() + ("\n  …" if cut else ""))

    def wait_for(self, state: str) -> None:
        """Wait until the run is in a state.

        Raises:
            SystemExit: it does not reach that state within a minute.
        """
        ends = monotonic() + PATIENCE
        while json.loads(self.run("status", RUN, "--json"))["state"] != state:
            if monotonic() > ends:
                sys.exit(f"The run is not {state}:\n{self.run('status', RUN)}")
            sleep(0.1)

    def fingerprint(self) -> str:
        """Return the beginning of the plan's fingerprint, as `status` shows it."""
        return str(json.loads(self.run("status", RUN, "--json"))["fingerprint"])[:12]

    def mails(self) -> list[str]:
        """Return the emails in the outbox."""
        return [path.read_text() for path in (self.folder / "var" / "outbox").glob("*.eml")]

    def happened(self) -> tuple[int, int, int, int]:
        """Return the number of refunds, tickets, comments and emails."""
        refunds = [one["amount"] for one in self.stripe.refunds(self.payment)]
        assert set(refunds) <= {REFUNDED}
        return len(refunds), len(self.github.issues) - 1, len(self.github.comments), len(self.mails())


def say(text: str) -> None:
    """Print and flush, so that lines appear in order on any output."""
    print(text, flush=True)


def plan_for(payment: str) -> dict[str, Any]:
    """Return the plan of Rita's agent."""
    return {
        "summary": "Refund the double charge of order 4711, and tell everyone involved",
        "steps": [
            {
                "tool": "refund_payment",
                "arguments": {"payment": payment, "amount": 42.50, "currency": "EUR"},
                "reason": "order 4711 was charged twice",
            },
            {
                "tool": "create_ticket",
                "arguments": {
                    "project": REPOSITORY,
                    "title": "Order 4711 was charged twice",
                    "body": "42.50 EUR was refunded.\nFind out why the order was charged twice.",
                },
            },
            {
                "tool": "comment_ticket",
                "arguments": {"project": REPOSITORY, "ticket": 1, "body": "We have refunded 42.50 EUR."},
                "reason": "the customer asked in ticket 1",
            },
            {
                "tool": "send_email",
                "arguments": {
                    "to": ["kim@example.org"],
                    "subject": "Your refund of 42.50 EUR",
                    "body": "Hello Kim,\n\nwe have refunded the second charge. Sorry!\n",
                    "cites": {"from_step": 2, "field": "key"},
                },
            },
        ],
    }


@contextmanager
def open_desk() -> Iterator[Desk]:
    """Start the servers, and a worker with all four tools."""
    github = GitHubServer(TOKEN)
    with (
        tempfile.TemporaryDirectory() as name,
        stripe_server() as stripe,
        FaultyServer(answer=github) as tracker,
    ):
        folder = Path(name)
        kept = ("PATH", "HOME", "LANG", "COLUMNS", "FORCE_COLOR", "TERM")
        environment = {one: os.environ[one] for one in kept if one in os.environ} | {
            "PLANGATE_GITHUB_API_URL": tracker.url,
            "PLANGATE_GITHUB_REPOS": REPOSITORY,
            "PLANGATE_GITHUB_TOKEN": TOKEN,
            "PLANGATE_PEOPLE": str(HERE / "people.toml"),
            "PLANGATE_POLICY": str(HERE / "policy.toml"),
            "PLANGATE_SEAL_SECONDS": "1",
            "PLANGATE_STRIPE_API_BASE": stripe.url,
            "PLANGATE_STRIPE_API_KEY": KEY,
            "PLANGATE_VAR_DIR": str(folder / "var"),
            "PLANGATE_WEB_ADDRESS": "off",
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TZ": "UTC",
        }
        github.ask(REPOSITORY, "Charged twice?", "Order 4711 is on my card twice.")
        payment = stripe.paid(PAID)
        (folder / "plan.json").write_text(json.dumps(plan_for(payment)))
        with worker(folder, environment):
            yield Desk(folder, stripe, payment, github, environment)


@contextmanager
def worker(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a worker with an embedded Temporal server until the block ends.

    Raises:
        SystemExit: it does not start.
    """
    log = folder / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, str(PROJECT / "worker.py"), "--dev"],
            env={**environment, "PLANGATE_LOG_FORMAT": "json"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
        try:
            ends = monotonic() + PATIENCE
            while '"action": "ready"' not in log.read_text():
                if process.poll() is not None or monotonic() > ends:
                    sys.exit(f"The worker does not start:\n{log.read_text()}")
                sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)


def main() -> int:
    """Run the scenario; return 0 if each effect happened once, and none before its approval."""
    say("A refund desk. Local servers stand in for Stripe, GitHub and the customer's mail.")
    with open_desk() as desk:
        say("\n1. Rita's agent proposes. The tools look up the payment and ticket 1; no step runs yet.")
        desk.typed("start", "--plan", "plan.json", "--id", RUN, "--requester", "rita", until="  Source:")
        before, plan = desk.happened(), desk.fingerprint()

        say("\n2. While the plan waits, a colleague closes ticket 1. Then two people approve.")
        desk.github.close(REPOSITORY, 1)
        for person in ("dana", "fred"):
            desk.typed("approve", RUN, "--by", person, "--plan", plan)
        desk.wait_for("held")

        say("\n3. The refund and the new ticket are done. The comment was approved for an open ticket:")
        desk.typed("status", RUN, until="  requester")

        say("\n4. Fred reopens ticket 1 and retries the step.")
        desk.github.reopen(REPOSITORY, 1)
        desk.typed("resolve", RUN, "retry", "--by", "fred", "--step", "3", "--plan", plan)
        desk.wait_for("executed")
        desk.typed("audit", "show", RUN)

        say("\n5. The proof, for an auditor.")
        desk.run("audit", "export", RUN, "-o", "refund.json")  # waits until the run is sealed
        desk.typed("audit", "verify")
        return _counted(desk, before)


def _counted(desk: Desk, before: tuple[int, int, int, int]) -> int:
    """Compare the effects at the servers with the plan."""
    happened = desk.happened()
    subjects = [line for mail in desk.mails() for line in mail.splitlines() if line.startswith("Subject:")]
    checks = {
        "before the approval: nothing": before == (0, 0, 0, 0),
        "at Stripe: one refund of 42.50 EUR": happened[0] == 1,
        "at GitHub: one new ticket and one comment": happened[1:3] == (1, 1),
        "in the outbox: one email, which cites the new ticket": subjects
        == [f"Subject: Your refund of 42.50 EUR [{REPOSITORY}#2]"],
    }
    say("\nWhat happened at the servers:")
    for what, holds in checks.items():
        say(f"  {'✓' if holds else '✗'} {what}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
