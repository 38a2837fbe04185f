"""A refund example: a refund, a ticket, a comment and an email, with a ticket that changes in between.

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
TOKEN: Final = "a-token-of-the-test-server"  # noqa: S105  not a secret: the only token of the server below
TIME_LIMIT: Final = 60.0  # seconds within which the worker must be ready, or the run must reach a state
PAID: Final = 25_000  # cents
REFUNDED: Final = 4_250


@dataclass
class Scenario:
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

    def run_and_print(self, *words: str, until: str = "\0") -> None:
        """Run a command and print its output, or the part before ``until``."""
        print_now(f"\n$ python starter.py {shlex.join(words)}")
        printed, cut, _ = self.run(*words).partition(until)
        print_now(printed.rstrip() + ("\n  …" if cut else ""))

    def wait_for(self, state: str) -> None:
        """Wait until the run is in a state.

        Raises:
            SystemExit: it does not reach that state within a minute.
        """
        ends = monotonic() + TIME_LIMIT
        while json.loads(self.run("status", RUN, "--json"))["state"] != state:
            if monotonic() > ends:
                sys.exit(f"The run is not {state}:\n{self.run('status', RUN)}")
            sleep(0.1)

    def fingerprint(self) -> str:
        """Return the beginning of the plan's fingerprint, as `status` shows it."""
        return str(json.loads(self.run("status", RUN, "--json"))["fingerprint"])[:12]

    def emails(self) -> list[str]:
        """Return the emails in the outbox."""
        return [path.read_text() for path in (self.folder / "var" / "outbox").glob("*.eml")]

    def count_effects(self) -> tuple[int, int, int, int]:
        """Return the number of refunds, tickets, comments and emails."""
        refunds = [one["amount"] for one in self.stripe.refunds(self.payment)]
        assert set(refunds) <= {REFUNDED}
        return len(refunds), len(self.github.issues) - 1, len(self.github.comments), len(self.emails())


def print_now(text: str) -> None:
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
def start_scenario() -> Iterator[Scenario]:
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
        github.open_issue(REPOSITORY, "Charged twice?", "Order 4711 is on my card twice.")
        payment = stripe.paid(PAID)
        (folder / "plan.json").write_text(json.dumps(plan_for(payment)))
        with worker(folder, environment):
            yield Scenario(folder, stripe, payment, github, environment)


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
            ends = monotonic() + TIME_LIMIT
            while '"action": "ready"' not in log.read_text():
                if process.poll() is not None or monotonic() > ends:
                    sys.exit(f"The worker does not start:\n{log.read_text()}")
                sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(TIME_LIMIT)


def main() -> int:
    """Run the scenario; return 0 if each effect happened once, and none before its approval."""
    print_now("This example uses local servers instead of Stripe and GitHub, and writes emails to a folder.")
    with start_scenario() as scenario:
        print_now("\n1. Rita's agent proposes. The tools look up the payment and ticket 1; no step runs yet.")
        scenario.run_and_print(
            "start", "--plan", "plan.json", "--id", RUN, "--requester", "rita", until="  Source:"
        )
        before, plan = scenario.count_effects(), scenario.fingerprint()

        print_now("\n2. While the plan waits, a colleague closes ticket 1. Then two people approve.")
        scenario.github.close(REPOSITORY, 1)
        for person in ("dana", "fred"):
            scenario.run_and_print("approve", RUN, "--by", person, "--plan", plan)
        scenario.wait_for("held")

        print_now("\n3. The refund and the new ticket are done. The comment was approved for an open ticket:")
        scenario.run_and_print("status", RUN, until="  requester")

        print_now("\n4. Fred reopens ticket 1 and retries the step.")
        scenario.github.reopen(REPOSITORY, 1)
        scenario.run_and_print("resolve", RUN, "retry", "--by", "fred", "--step", "3", "--plan", plan)
        scenario.wait_for("executed")
        scenario.run_and_print("audit", "show", RUN)

        print_now("\n5. The proof, for an auditor.")
        scenario.run("audit", "export", RUN, "-o", "refund.json")  # waits until the run is sealed
        scenario.run_and_print("audit", "verify")
        return _check_effects(scenario, before)


def _check_effects(scenario: Scenario, before: tuple[int, int, int, int]) -> int:
    """Compare the effects at the servers with the plan."""
    effects = scenario.count_effects()
    subjects = [
        line for mail in scenario.emails() for line in mail.splitlines() if line.startswith("Subject:")
    ]
    checks = {
        "before the approval: nothing": before == (0, 0, 0, 0),
        "at Stripe: one refund of 42.50 EUR": effects[0] == 1,
        "at GitHub: one new ticket and one comment": effects[1:3] == (1, 1),
        "in the outbox: one email, which cites the new ticket": subjects
        == [f"Subject: Your refund of 42.50 EUR [{REPOSITORY}#2]"],
    }
    print_now("\nWhat happened at the servers:")
    for what, passed in checks.items():
        print_now(f"  {'✓' if passed else '✗'} {what}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
