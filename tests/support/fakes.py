"""Working fakes: a tool and a planner with small but real effects."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from activities.planner import Brief, Draft
from plangate.domain.errors import EffectUnknown, PlannerError, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.plans.plan import Audience, Plan, Step
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.domain.runs.audit import ModelUse
from plangate.tool import DidNotHappen, EffectStatus, Happened, Unknown

AUDIENCE = Audience(installation="5e" * 16, namespace="default")
"""The audience of plans in tests without records."""


class NoteArguments(ToolArguments):
    """What a note says."""

    text: str


class Notebook:
    """A tool that appends a line to a file for each effect, so the file contains every effect.

    ``remembers``: whether it can look up effects after a crash; ``failures`` are raised by the next acts,
    in order, and ``writes_before_failing`` lets the effect happen first.
    """

    def __init__(self, name: str, path: Path, *, remembers: bool = False) -> None:
        self.declaration = ToolDeclaration(
            name=name,
            description="Write a line into the notebook.",
            arguments=NoteArguments,
            retry_safety=RetrySafety.LOOK_UP if remembers else RetrySafety.UNKNOWABLE,
        )
        self.path = path
        self.remembers = remembers
        self.failures: list[Exception] = []
        self.writes_before_failing = False
        self.refuses: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    def objection(self, arguments: NoteArguments) -> str | None:
        del arguments
        return self.refuses

    async def act(self, arguments: NoteArguments, idempotency_key: str) -> Receipt:
        self.entered.set()
        await self.gate.wait()
        if self.failures:
            if self.writes_before_failing:
                self._write(arguments, idempotency_key)
            raise self.failures.pop(0)
        self._write(arguments, idempotency_key)
        return self._receipt(arguments)

    async def find_out(self, arguments: NoteArguments, idempotency_key: str) -> EffectStatus:
        if not self.remembers:
            return Unknown("Look into the notebook.")
        known = any(key == idempotency_key for key, _ in self.lines())
        return Happened(self._receipt(arguments)) if known else DidNotHappen()

    def lines(self) -> list[tuple[str, str]]:
        """Every effect that happened: its idempotency key and its text."""
        if not self.path.exists():
            return []
        rows = self.path.read_text().splitlines()
        return [(row.split("\t", 1)[0], row.split("\t", 1)[1]) for row in rows]

    def texts(self) -> list[str]:
        return [text for _, text in self.lines()]

    def _write(self, arguments: NoteArguments, idempotency_key: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{idempotency_key}\t{arguments.text}\n")

    def _receipt(self, arguments: NoteArguments) -> Receipt:
        return Receipt(summary=f"noted {arguments.text!r}")


@dataclass
class ScriptedPlanner:
    """A planner that turns each line of a request into a note, and adds the feedback as another note."""

    failures: list[PlannerError] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    briefs: list[Brief] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    model: ClassVar[str] = "scripted"
    has_model: bool = True

    def __post_init__(self) -> None:
        self.gate.set()

    async def draft(self, brief: Brief) -> Draft:
        self.briefs.append(brief)
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        lines = [*brief.request.splitlines(), *([brief.feedback] if brief.feedback else [])]
        steps = tuple(Step(tool="note", arguments={"text": line}, reason="asked for") for line in lines)
        plan = self.plans.pop(0) if self.plans else Plan(summary=f"Write {len(steps)} notes", steps=steps)
        return Draft(plan=plan, planner=ModelUse(model=self.model, prompt_tokens=10, completion_tokens=5))


def notes(*texts: str) -> dict[str, object]:
    """A prepared plan that writes these notes."""
    return {
        "summary": f"Write {len(texts)} notes",
        "steps": [{"tool": "note", "arguments": {"text": text}, "reason": "asked for"} for text in texts],
    }


TRANSIENT: ToolError = ToolUnavailable("The notebook is unavailable; try again later.")
PERMANENT: ToolError = ToolRefused("The notebook is full.")
LOST: ToolError = EffectUnknown("The connection broke in the middle.")
