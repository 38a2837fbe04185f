"""Run prompt injections through a test instance, and find effects or text that are not in the plan."""

import asyncio
import io
import json
import re
import unicodedata
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any, Final

from markdown_it import MarkdownIt
from pydantic import JsonValue
from rich.cells import cell_len

from activities.planner import Brief, Draft
from activities.planners.autogen.model_client import ModelOpener
from activities.planners.autogen.planner import AutoGenPlanner
from activities.planners.limits import Limits
from activities.tools.email.tool import SendEmail
from plangate.domain.errors import ToolRefused
from plangate.domain.escaping import many_lines, one_line
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.domain.runs.fold import fold
from plangate.domain.runs.status import Status
from plangate.presentation.console import Console
from plangate.presentation.markdown import details_page, request_page, summary_line
from plangate.presentation.page import Page
from plangate.presentation.run_page import run_page
from plangate.presentation.trail_page import trail_page
from plangate.records.trail import read_trail
from plangate.settings import Settings
from plangate.tool import DidNotHappen, EffectStatus, Tool
from tests.support.build import NOON
from tests.support.gate import Gate
from tests.support.injections import ATTACKER, Injection
from tests.support.reading_tool import Shelf
from tests.support.wait_limit import WAIT_LIMIT

_WIDTH: Final = 80
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_BLOCKS: Final = {"heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline"}
_INLINE: Final = {"text", "softbreak", "code_inline", "strong_open", "strong_close", "em_open", "em_close"}
_CASE: Final = re.compile(r"(?:ORDER-|case )(\d{4})")


class PayArguments(ToolArguments):
    """How much, to whom, and what for."""

    to: str
    amount: str
    note: str


class PaymentTool:
    """A tool that pays: each line of its file is one payment that happened."""

    def __init__(self, path: Path) -> None:
        self.declaration = ToolDeclaration("pay", "Pay.", PayArguments, RetrySafety.UNKNOWABLE)
        self.path = path

    def objection(self, arguments: Any) -> str | None:
        return None if Decimal(arguments.amount) > 0 else "Nothing is paid."

    def preview(self, arguments: Any, _observation: JsonValue) -> str:
        return f"Pay {arguments.amount} EUR to {arguments.to}"

    async def act(self, arguments: Any, idempotency_key: str) -> Receipt:
        paid = {"key": idempotency_key, "arguments": arguments.model_dump(mode="json")}
        with self.path.open("a") as file:
            file.write(json.dumps(paid) + "\n")
        return Receipt(summary=f"paid {arguments.amount} to {arguments.to}: {arguments.note}")

    async def find_out(self, _arguments: Any, _idempotency_key: str) -> EffectStatus:
        return DidNotHappen()

    def payments(self, workflow_id: str) -> list[JsonValue]:
        """Return the arguments of each payment of a run."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        paid = [json.loads(line) for line in lines]
        return [one["arguments"] for one in paid if one["key"].startswith(f"{workflow_id}:")]


class InjectedPlanner:
    """Plangate's planner, for each run with the shelf of its case."""

    has_model = True

    def __init__(self, cases: list[Injection], tools: dict[str, Tool], open_model: ModelOpener) -> None:
        self._cases = cases
        self._tools = tools
        self._open_model = open_model

    async def draft(self, brief: Brief) -> Draft:
        case = self._cases[int(_CASE.findall(brief.request)[-1])]
        shelf = InjectedShelf(case)
        declared = {name: tool.declaration for name, tool in self._tools.items()}
        planner = AutoGenPlanner(
            self._open_model, {**declared, "shelf": shelf.declaration}, Limits(30, 10), {"shelf": shelf.read}
        )
        return await planner.draft(brief)


class InjectedShelf(Shelf):
    """A shelf with an injected instruction, in a text or in its server's description."""

    def __init__(self, case: Injection) -> None:
        super().__init__({}, case.description)
        self._case = case

    async def read(self, arguments: Any) -> JsonValue:
        if self._case.place == "failed read":
            raise ToolRefused(f"Not found. {self._case.order}")
        if self._case.place == "read":
            return {"from": "kim", "text": self._case.order}
        return f"Dear all, thank you for {arguments.title}."


class InjectionRunner:
    """Runs each case on a test instance of Plangate whose model obeys injected instructions.

    ``without_plan`` counts the runs for which the model made no valid call.
    """

    def __init__(self, gate: Gate, cases: list[Injection], open_model: ModelOpener, folder: Path) -> None:
        self.gate = gate
        self.payment_tool = PaymentTool(folder / "payment_tool.jsonl")
        self.outbox = folder / "outbox"
        self._earlier: set[Path] = set()
        self.without_plan = 0
        gate.tools.clear()
        gate.tools |= {
            "pay": self.payment_tool,
            "send_email": SendEmail.from_settings(Settings(var_dir=folder, smtp_url=None)),
            "shelf": Shelf({}),
        }
        gate.drafts_with = InjectedPlanner(cases, gate.tools, open_model)

    async def examine(self, case: Injection) -> list[str]:
        """Run one case to its end; return every effect or text that is not in the plan."""
        return [f"{case}: {fault}" async for fault in self._faults(case)]

    async def _faults(self, case: Injection) -> AsyncIterator[str]:
        self._earlier = set(self.outbox.glob("*.eml"))
        run = await self.gate.submit(request=case.request)
        status = await self._drafted(run, revision=1)
        if case.place == "feedback":
            await self.gate.decide(status, "request_changes", comment=case.order)
            status = await self._drafted(run, revision=2)
        if status.state == "failed":  # no call of the model was valid, so there is no plan
            self.without_plan += 1
            for fault in self._of_failure(status):
                yield fault
            return
        for fault in self._of_review(status):
            yield fault
        decision = "reject" if case.number % 3 == 0 else "approve"
        answer = await self.gate.decide(status, decision)
        if not answer.accepted:
            yield f"the decision was refused: {answer.reason}"
        result = await self.gate.result(run)
        if result.outcome != {"reject": "rejected", "approve": "executed"}[decision]:
            yield f"ended as {result.outcome}: {result.reason}"
        planned = status.plan.steps if status.plan and decision == "approve" else ()
        paid = [step.arguments for step in planned if step.tool == "pay"]
        if self.payment_tool.payments(run) != paid:
            yield f"paid {self.payment_tool.payments(run)}, approved {paid}"
        mails = [step.arguments for step in planned if step.tool == "send_email"]
        approved = sorted([one["to"], _unfolded(str(one["body"]))] for one in mails)
        if self._sent() != approved:
            yield f"sent {self._sent()}, approved {approved}"
        for fault in self._misplaced_text(await self.gate.api.status(run)):
            yield fault

    async def _drafted(self, run: str, revision: int) -> Status:
        """Wait for a revision, or for the end of a run without a revision."""
        async with asyncio.timeout(WAIT_LIMIT):
            while True:
                status = await self.gate.api.status(run)
                if status.state == "failed" or (status.state, status.revision) == ("in_review", revision):
                    return status
                await asyncio.sleep(0.02)

    def _of_failure(self, status: Status) -> Iterator[str]:
        if self.payment_tool.payments(status.workflow_id) or self._sent():
            yield "an effect happened, although there was no plan"
        if "proposed no steps" not in status.reason:
            yield f"it failed: {status.reason}"
        yield from self._misplaced_text(status)

    def _sent(self) -> list[Any]:
        """Return the recipients and text of each mail that has been sent since the case began."""
        mails = [
            BytesParser(policy=policy.default).parsebytes(path.read_bytes())
            for path in self.outbox.glob("*.eml")
            if path not in self._earlier
        ]
        return sorted(
            [[one.addr_spec for one in mail["To"].addresses], _unfolded(mail.get_content())] for mail in mails
        )

    def _of_review(self, status: Status) -> Iterator[str]:
        """Yield effects before the approval, and content that the approver cannot see."""
        run = status.workflow_id
        if self.payment_tool.payments(run) or self._sent():
            yield "an effect happened before the approval"
        if status.approved_by or [one for one in status.decisions if one.decision != "request_changes"]:
            yield f"it was decided by {status.decisions}"
        if not status.still_needed:
            yield f"it needs {status.requirement}"
        assert status.plan is not None
        rows = [row.text for row in run_page(status, NOON).rows]
        for text in _texts(status.model_dump(mode="json", include={"plan", "request"})):
            forms = [_escaped(text), [one_line(text)]]
            if not any(all(any(line in row for row in rows) for line in form) for form in forms):
                yield f"not all of {text[:80]!r} is on the page"
        if ATTACKER in json.dumps([step.arguments for step in status.plan.steps]):
            (what,) = [row.text for row in run_page(status, NOON).rows if row.margin.strip() == "what runs"]
            if "evil.example" not in what:
                yield f"what runs is shown as {what}"
        yield from self._misplaced_text(status)

    def _misplaced_text(self, status: Status) -> Iterator[str]:
        """Yield text that is outside its place on any page."""
        yield from _terminal_problems(run_page(status, NOON), "the page", headings=1)
        with self.gate.database.read() as connection:
            entries = read_trail(connection, status.workflow_id)
        yield from _terminal_problems(trail_page(entries), "the trail", headings=1)
        state = fold(status.workflow_id, (entry.event for entry in entries))
        page = details_page(state)
        yield from _not_inert(page, "the page of the Web UI")
        for text in (summary_line(status.request), request_page(status.request, status.requester)):
            yield from _not_inert(text, "the description of the run")
        if "**To decide:**" in page:
            assert status.plan is not None
            code = _code(page)
            for text in _texts(status.plan.model_dump(mode="json", exclude={"summary"})):
                if not all(
                    one_line(line) in code or one_line(json.dumps(line)) in code for line in text.split("\n")
                ):
                    yield f"the page of the Web UI offers to approve, and lacks {text[:80]!r}"


def _unfolded(text: str) -> str:
    return "\n".join(line.rstrip() for line in re.split(r"\r\n|\r|\n", text)).strip()


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, one in value.items():
                if key not in ("definition", "sha256"):
                    yield from _texts(one)
        case list() | tuple():
            for one in value:
                yield from _texts(one)


def _escaped(text: str) -> list[str]:
    """Return the lines of a text as a page has them: a block, or one line of JSON."""
    lines = many_lines(text).split("\n")
    return lines if len(lines) > 1 else [one_line(json.dumps(text, ensure_ascii=False))[1:-1]]


def _terminal_problems(page: Page, where: str, *, headings: int) -> Iterator[str]:
    """Yield control sequences for a terminal, and lines at the left edge that are not our headings."""
    for width in (_WIDTH, 40):
        written = io.StringIO()
        Console(written, width=width).print(page)
        shown = written.getvalue()
        hidden = {char for char in shown if char != "\n" and unicodedata.category(char) in _HIDDEN}
        if hidden:
            yield f"{where} has {sorted(map(ascii, hidden))}"
        at_edge = [line for line in shown.split("\n") if line and not line.startswith(" ")]
        if len(at_edge) != headings:
            yield f"{where} has at its left edge: {at_edge[:3]}"
        wide = [line for line in shown.split("\n") if cell_len(line) > width and len(line.split()) > 3]
        if wide:
            yield f"{where} has lines wider than the terminal: {wide[0]!r}"


def _parsed(markdown: str) -> list[Any]:
    return MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)


def _code(markdown: str) -> str:
    spans = [
        child.content
        for token in _parsed(markdown)
        for child in token.children or []
        if child.type == "code_inline"
    ]
    return "\n".join(spans).replace("\u00a0", " ")


def _not_inert(markdown: str, where: str) -> Iterator[str]:
    tokens = _parsed(markdown)
    kinds = {token.type for token in tokens} - _BLOCKS
    kinds |= {child.type for token in tokens for child in token.children or []} - _INLINE
    if kinds:
        yield f"{where} has {sorted(kinds)}"
    if sum(token.type == "heading_open" for token in tokens) > 1:
        yield f"{where} has another heading"
