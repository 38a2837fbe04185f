"""Draw the README's pictures from a real run: ``.venv/bin/python docs/pictures/make.py``.

Starts a worker with a dev server in a temporary folder, submits the plan of the quickstart, and writes

- ``review.png``: the run in Temporal's Web UI while it waits for a decision (needs Chromium);
- ``inbox-*.png``: the pages from the plan to a decision by passkey, on a phone;
- ``notice-mail.png``: the email that notifies an approver of a plan, on a phone;
- ``held.png``: a run that is held, because a call got no response;
- ``examples/refund-desk/scenario.svg``: the second half of ``make example``;
- ``terminal.svg``: the commands that start, approve and verify the run, with their output;
- ``badge-*.svg``: the badges for the declarations in ``pyproject.toml``.
"""

import asyncio
import io
import os
import pty
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from playwright.async_api import Browser, Page, ViewportSize, async_playwright
from playwright.async_api import Error as PlaywrightError
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from plangate.notifications.channels import Channels
from plangate.notifications.notice import Facts, Notice, NoticeKind, Sending
from plangate.settings import Settings

HERE: Final = Path(__file__).resolve().parent
PROJECT: Final = HERE.parent.parent
COLUMNS: Final = 100
RUN: Final = "refund-4711"
WAIT_LIMIT: Final = 60.0  # seconds until the worker must be ready, or a page drawn
# The pictures load no web fonts; the reader's own monospace font is used.
ERASED: Final = re.compile(r"[^\n]*\x1b\[J")
BADGE: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {value}">
  <title>{label}: {value}</title>
  <rect width="{width}" height="20" rx="3" fill="#555"/>
  <path fill="{colour}" d="M{left} 0h{right_less}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z"/>
  <g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
    <text x="{label_x}" y="14">{label}</text>
    <text x="{value_x}" y="14">{value}</text>
  </g>
</svg>
"""
HELD_PLAN: Final = """\
summary: Refund a double charge, and tell the customer
steps:
  - tool: send_email
    arguments:
      to: [billing@example.org]
      subject: "Customer 4711: refund one charge"
      body: Please refund the second charge of 3 May.
  - tool: http_request
    arguments:
      method: POST
      url: http://{host}/v1/refunds
      json_body: {{charge: ch_3Px81, amount: 4250, currency: EUR}}
  - tool: send_email
    arguments:
      to: [customer@example.org]
      subject: Your refund is on its way
      body: The second charge is being refunded.
"""
INBOX_POLICY: Final = '[default]\nneeds = [{ role = "finance" }]\nassurance = "signed"\n'
INBOX_PEOPLE: Final = """\
[[person]]
name = "dana"
roles = ["finance"]
keys = [{keys}]

[[person]]
name = "rita"
"""
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
AUTHENTICATOR: Final = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
SVG: Final = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def clean(text: str) -> str:
    """Leave out what was erased on the terminal: the line of a spinner."""
    return ERASED.sub("", text)


class Home:
    """A folder with a worker's data, and the environment variables of the commands that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            "COLUMNS": str(COLUMNS),
            "FORCE_COLOR": "1",
            "PLANGATE_KEYS_DIR": str(folder / "keys"),
            "PLANGATE_SEAL_SECONDS": "1",
            "PLANGATE_VAR_DIR": str(folder / "var"),
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TERM": "xterm-256color",
            "TZ": "UTC",
        }

    def typed(self, *words: str) -> str:
        """Run a command on a pseudo-terminal and return its output, with colours.

        Raises:
            SystemExit: the command failed.
        """
        read, write = pty.openpty()
        with subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write,
        ) as process:
            os.close(write)
            printed = bytearray()
            try:
                while piece := os.read(read, 65536):
                    printed += piece
            except OSError:  # Linux reports the end of a pseudo-terminal in this way
                pass
            os.close(read)
        text = printed.decode()
        if process.returncode:
            sys.exit(f"{' '.join(words)} failed:\n{text}")
        return clean(text.replace("\r\n", "\n").replace(f"{PROJECT}/", ""))


@contextmanager
def worker(home: Home) -> Iterator[None]:
    """Run a worker with a dev server until the block ends."""
    log = home.folder / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(PROJECT / "worker.py"), "--dev"],
            env=home.environment | {"PLANGATE_LOG_FORMAT": "json"},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
        try:
            ends = monotonic() + WAIT_LIMIT
            while '"action": "ready"' not in log.read_text():
                if process.poll() is not None or monotonic() > ends:
                    sys.exit(f"The worker does not start:\n{log.read_text()}")
                sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(WAIT_LIMIT)


@asynccontextmanager
async def opened_browser() -> AsyncIterator[Browser]:
    """Run Chromium without a window for the block."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("Chromium was not found; install it, for instance with apt-get install chromium.")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        await browser.close()


async def save_screenshot(url: str, file: Path, height: int = 1150) -> None:
    """Open a run in the Web UI, and take a screenshot of its page."""
    async with opened_browser() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": height})
        await page.goto(url)
        await page.get_by_text("User Metadata").click()
        async with asyncio.timeout(WAIT_LIMIT):
            while (frame := page.frame(name="user-metadata-current-details")) is None:
                await asyncio.sleep(0.05)
            await frame.wait_for_selector("main p")
        await asyncio.sleep(1)  # until the frames have the height of their content
        await page.screenshot(path=file)


def draw(commands: list[tuple[str, str]], file: Path, *, folds: bool = False) -> None:
    """Write commands and their output as one SVG; ``folds``: break lines that are too long."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for command, printed in commands:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")), soft_wrap=True)
        console.print(Text.from_ansi(printed.strip("\n")), soft_wrap=not folds)
        console.print()
    svg = console.export_svg(title="Plangate", code_format=SVG, unique_id="plangate")
    file.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


def badge(label: str, value: str, colour: str) -> str:
    """Return a badge in the usual form: a label and a value, 20 pixels high."""
    left, right = 10 + 7 * len(label), 10 + 7 * len(value)
    return BADGE.format(
        label=label,
        value=value,
        colour=colour,
        width=left + right,
        left=left,
        right_less=right - 3,
        label_x=left / 2,
        value_x=left + right / 2,
    )


def badges() -> dict[str, str]:
    """Return the README's badges by their file names."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    python = project["requires-python"].removeprefix(">=")
    return {
        "badge-ci.svg": badge("CI", ".ci/run", "#0969da"),
        "badge-python.svg": badge("python", f"{python}+", "#0969da"),
        "badge-licence.svg": badge("licence", project["license"], "#0969da"),
        "badge-docs.svg": badge("docs", "make docs", "#0969da"),
    }


def record() -> None:
    """Run the quickstart's plan and draw it."""
    quickstart = (HERE.parent / "quickstart.md").read_text()
    (plan,) = re.findall(r"^```yaml\n(.*?)^```", quickstart, re.MULTILINE | re.DOTALL)
    starter = str(PROJECT / "starter.py")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        (home.folder / "plan.yaml").write_text(plan)
        with worker(home):
            start = ("start", "--plan", "plan.yaml", "--id", RUN, "--requester", "rita")
            started = home.typed(starter, *start)
            url = re.search(r"http://[^\s\x1b]+/workflows/[^\s\x1b]+", started)
            fingerprint = re.search(r"\b[0-9a-f]{12}\b", started)
            if url is None or fingerprint is None:
                sys.exit(f"The output of start contains no address or no fingerprint:\n{started}")
            asyncio.run(save_screenshot(url[0], HERE / "review.png"))
            approve = ("approve", RUN, "--by", "dana", "--plan", fingerprint[0])
            approved = home.typed(starter, *approve)
            home.typed(starter, "watch", RUN)
            home.typed(starter, "audit", "export", RUN, "-o", "run.json")  # waits until the run is sealed
            verify = ("audit", "verify")
            verified = home.typed(starter, *verify)
    outputs = ((start, started), (approve, approved), (verify, verified))
    draw([(f"python starter.py {' '.join(words)}", text) for words, text in outputs], HERE / "terminal.svg")


class _ClosesConnection(socketserver.BaseRequestHandler):
    """A bank that reads a request, and closes the connection without a response."""

    def handle(self) -> None:
        self.request.recv(65536)


def record_held() -> None:
    """Start a run that is held at its second step, and take a screenshot of its page."""
    starter = str(PROJECT / "starter.py")
    with (
        tempfile.TemporaryDirectory() as folder,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), _ClosesConnection) as bank,
    ):
        threading.Thread(target=bank.serve_forever, daemon=True).start()
        home, host = Home(Path(folder)), f"127.0.0.1:{bank.server_address[1]}"
        home.environment |= {
            "PLANGATE_HTTP_ALLOWED_HOSTS": host,
            "PLANGATE_HTTP_PRIVATE_HOSTS": host,
            "PLANGATE_LATE_EFFECT_SECONDS": "0",
        }
        (home.folder / "plan.yaml").write_text(HELD_PLAN.format(host=host))
        with worker(home):
            started = home.typed(starter, "start", "--plan", "plan.yaml", "--id", RUN, "--requester", "rita")
            url = re.search(r"http://[^\s\x1b]+/workflows/[^\s\x1b]+", started)
            fingerprint = re.search(r"\b[0-9a-f]{12}\b", started)
            if url is None or fingerprint is None:
                sys.exit(f"The output of start contains no address or no fingerprint:\n{started}")
            home.typed(starter, "approve", RUN, "--by", "dana", "--plan", fingerprint[0])
            ends = monotonic() + WAIT_LIMIT
            while '"state": "held"' not in home.typed(starter, "status", RUN, "--json"):
                if monotonic() > ends:
                    sys.exit("The run is not held.")
                sleep(0.2)
            asyncio.run(save_screenshot(url[0], HERE / "held.png", height=1620))
        bank.shutdown()


async def responds(page: Page, url: str) -> bool:
    """Return whether the inbox responds."""
    try:
        return (await page.request.get(f"{url}/healthz")).ok
    except PlaywrightError:
        return False


async def decide_on_a_phone(url: str, home: Home) -> None:
    """Decide as dana, by passkey in the inbox, and take a screenshot of each page."""
    async with opened_browser() as browser:
        page = await browser.new_page(viewport=PHONE, color_scheme="light")
        session = await page.context.new_cdp_session(page)
        await session.send("WebAuthn.enable")
        await session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        async with asyncio.timeout(WAIT_LIMIT):
            while not await responds(page, url):
                await asyncio.sleep(0.2)
        await page.goto(f"{url}/me")
        await page.get_by_label("Choose your name").select_option("dana")
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("Name of the passkey").fill("Dana's phone")
        await page.get_by_role("button", name="Add a passkey").click()
        line = await page.get_by_text(re.compile("^passkey:")).inner_text()
        await page.screenshot(path=HERE / "inbox-passkey.png")
        (home.folder / "people.toml").write_text(INBOX_PEOPLE.format(keys=f'{{public = "{line}"}}'))
        await asyncio.sleep(4)  # a changed list takes effect once it has been unchanged for two seconds
        starter = str(PROJECT / "starter.py")
        for run, plan in (("plan-0", "other.yaml"), (RUN, "plan.yaml")):  # the first run records the list
            start = ("start", "--plan", plan, "--id", run, "--requester", "rita")
            await asyncio.to_thread(home.typed, starter, *start)
        await page.goto(f"{url}/runs/{RUN}")
        await page.screenshot(path=HERE / "inbox-plan.png")
        await page.get_by_role("button", name="Approve").click()
        await page.get_by_role("heading", name="Confirm").wait_for()
        await page.screenshot(path=HERE / "inbox-confirm.png")
        await page.get_by_role("button", name="Approve").click()
        await page.get_by_role("heading", name="Accepted").wait_for()
        await page.screenshot(path=HERE / "inbox-verdict.png")


def record_inbox() -> None:
    """Decide on the quickstart's plan in the inbox, under rules that accept only signed decisions."""
    quickstart = (HERE.parent / "quickstart.md").read_text()
    (plan,) = re.findall(r"^```yaml\n(.*?)^```", quickstart, re.MULTILINE | re.DOTALL)
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        home = Home(Path(folder))
        for name, text in (
            ("plan.yaml", plan),
            ("other.yaml", plan.replace("example.org", "example.com")),
            ("people.toml", INBOX_PEOPLE.format(keys="")),
            ("policy.toml", INBOX_POLICY),
        ):
            (home.folder / name).write_text(text)
        home.environment |= {
            "PLANGATE_WEB_ADDRESS": f"127.0.0.1:{port}",
            "PLANGATE_WEB_URL": f"http://localhost:{port}",
            "PLANGATE_PEOPLE": str(home.folder / "people.toml"),
            "PLANGATE_POLICY": str(home.folder / "policy.toml"),
        }
        with worker(home):
            asyncio.run(decide_on_a_phone(f"http://localhost:{port}", home))


async def show_mail(mail: bytes, path: Path) -> None:
    """Take a screenshot of an email's HTML part on a phone that loads nothing."""
    html = BytesParser(policy=policy.default).parsebytes(mail).get_body(("html",))
    assert html is not None
    async with opened_browser() as browser:
        page = await browser.new_page(viewport=PHONE, color_scheme="light")
        await page.context.set_offline(True)
        await page.set_content(html.get_content())
        await page.screenshot(path=path)


def record_notice() -> None:
    """Write the email that notifies Dana of the quickstart's plan, and take a screenshot of it."""
    now = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
    facts = Facts(
        workflow_id=RUN,
        revision=1,
        tools=(("refund_payment", 1), ("create_ticket", 1), ("send_email", 1)),
        requester="rita",
        deadline=now + timedelta(hours=4),
        link=f"https://gate.example.org/runs/{RUN}",
    )
    needed = Notice(person="dana", kind=NoticeKind.NEEDED, event="needed:1", due_at=now, facts=facts)
    sending = Sending(
        address="mailto:dana@example.org", person="dana", notices=(needed,), zone="Europe/Berlin"
    )
    with tempfile.TemporaryDirectory() as folder:
        channels = Channels(Settings(var_dir=Path(folder), smtp_url=None))
        asyncio.run(channels.send(sending, now))
        (mail,) = (Path(folder) / "outbox").glob("*.eml")
        asyncio.run(show_mail(mail.read_bytes(), HERE / "notice-mail.png"))


def record_refund_desk() -> None:
    """Run the refund desk and draw its output from the hold onward."""
    example = PROJECT / "examples" / "refund-desk"
    with tempfile.TemporaryDirectory() as folder:
        printed = Home(Path(folder)).typed(str(example / "scenario.py"))
    draw([("make example", f"…\n\n{printed[printed.index('3. ') :]}")], example / "scenario.svg", folds=True)


def main() -> None:
    """Draw all pictures."""
    for name, svg in badges().items():
        (HERE / name).write_text(svg)
    record()
    record_held()
    record_inbox()
    record_notice()
    record_refund_desk()


if __name__ == "__main__":
    main()
