"""Third-party planners are found by a setting, or refused in one sentence; their errors stay in the log."""

import asyncio
import gc
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from activities.planner import Brief, Draft
from activities.planners.choosing import planner_of
from activities.planners.function import FunctionPlanner
from plangate.domain.errors import (
    DraftUnusable,
    ModelRefused,
    ModelUnavailable,
    NoModel,
    PlangateError,
    PlannerInvalid,
)
from plangate.settings import PROJECT, Settings
from tests.support.openai_server import (
    PROMPT_TOKENS,
    Calls,
    Hangs,
    OpenAIServer,
    Reply,
    Says,
    Script,
    Status,
    call,
)
from tests.support.reading_tool import Shelf
from tests.support.stand_in_tools import MAIL, TOOLS

KEY = "sk-live-0123456789abcdef"
REQUEST = "Refund Kim for order 1042 and tell her."
MAIL_CALL = call("send_email", MAIL)
DONE = Says("Tell Kim.")
SOUND = Says("SOUND")

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module into the working directory; return its name, which no other test uses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def written(text: str) -> str:
        name = f"planner_{uuid4().hex[:8]}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return written


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def planner(name: str, server: OpenAIServer | None = None, **more: Any) -> FunctionPlanner:
    settings = Settings(
        planner=name,
        openai_base_url=server.base_url if server else None,
        openai_api_key=KEY if server else None,
        model_config_file=None,
        **{"draft_seconds": 10, "max_steps": 5, **more},
    )
    shelf = Shelf({"order": "42.50 EUR"})
    tools = {**TOOLS, "shelf": shelf.declaration}
    return planner_of(settings, tools, {"shelf": shelf.read})


async def draft(name: str, script: Script = (), brief: Brief | None = None, **more: Any) -> Draft:
    with OpenAIServer(script) as server:
        made = planner(name, server, **more)
        await made.try_model()
        return await made.draft(brief or Brief(request=REQUEST))


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an example's module importable, as if the worker had been started in its folder."""
    monkeypatch.syspath_prepend(str(PROJECT / "examples" / name))


# ---- functions ------------------------------------------------------------------------------------

PLAIN = """
from plangate.planner import Brief, PlannerTools

async def plan(brief: Brief, tools: PlannerTools) -> str:
    message = await tools.call("shelf", {"title": "order"})
    for line in brief.request.splitlines():
        await tools.call("send_email", {"to": ["a@b.example"], "subject": line, "body": message, "why": "w"})
    return "Tell them."
"""


async def test_the_planner_in_the_howto_works(write: Write) -> None:
    page = (PROJECT / "docs" / "howto-write-a-planner.md").read_text()
    (text,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    made = await planner(f"{write(text)}:plan").draft(Brief(request="Order a new laptop"))
    assert [step.arguments["subject"] for step in made.plan.steps] == ["Order a new laptop"]
    assert "PLANGATE_PLANNER=planners:plan" in page
    for example_of in ("planner-openai/openai_planner.py", "planner-writer-critic/writer_and_critic.py"):
        assert f"examples/{example_of}" in page
        assert (PROJECT / "examples" / example_of).exists()


async def test_a_planner_function_of_a_few_lines_works(write: Write) -> None:
    name = write(PLAIN)
    made = await planner(f"{name}:plan").draft(Brief(request="one\ntwo"))
    assert [step.arguments["subject"] for step in made.plan.steps] == ["one", "two"]
    assert [read.result for read in made.plan.reads] == ["42.50 EUR"]
    assert (made.plan.summary, made.planner.model) == ("Tell them.", f"{name}:plan")


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        ("x = 1", "", "write it as MODULE:NAME"),
        ("x = 1", "plan", "has no plan; correct the name"),
        ("x = 1", "x", "which is int"),
        ("def plan(brief, tools): ...", "plan", "it is not async"),
        ("async def plan(brief, tols): ...", "plan", "it has the parameters brief, tols"),
        ("async def plan(brief, /, tools): ...", "plan", "it has positional-only parameters"),
        ("class Plan: ...", "Plan", "which is a class"),
        ("import no_such_module", "plan", "cannot be imported (ModuleNotFoundError"),
        ("raise SystemExit(3)", "plan", "cannot be imported (SystemExit"),
        ("async def plan(:", "plan", "cannot be imported (SyntaxError"),
        ("def make(workbench): return 7", "make", "it returns int, not an AutoGen agent or team"),
        ("def make(): raise ValueError('no')", "make", "it failed (ValueError: no)"),
    ],
)
async def test_an_invalid_planner_is_refused_when_the_worker_starts(
    write: Write, text: str, name: str, problem: str
) -> None:
    module = write(f"\n{text}\n")
    with pytest.raises(PlannerInvalid) as refused:
        await planner(f"{module}:{name}").try_model()
    message = str(refused.value)
    assert problem in message
    assert "\n" not in message
    if "def " in text and "Syntax" not in problem:
        assert message.startswith(f"{module}.py:2: ")


async def test_a_missing_module_is_reported_by_name(write: Write) -> None:
    write("")
    with pytest.raises(PlannerInvalid, match=r"no such module; put missing_planner\.py into"):
        planner("missing_planner:plan")


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        ("ValueError({secret!r})", DraftUnusable, "failed (ValueError) at {module}.py:"),
        ("ModelRefused({secret!r})", ModelRefused, "was refused by its model's service at {module}.py:"),
        ("ModelUnavailable({secret!r})", ModelUnavailable, "got no answer from its model's service"),
        ("DraftUnusable({secret!r})", DraftUnusable, "made no plan at {module}.py:"),
        ("ConnectionResetError({secret!r})", ModelUnavailable, "cannot be reached"),
        ("TimeoutError({secret!r})", ModelUnavailable, "did not answer in time"),
        ("Vendors({secret!r})", ModelRefused, "OPENAI_API_KEY"),
        ("SystemExit({secret!r})", DraftUnusable, "failed (SystemExit) at {module}.py:"),
        ("asyncio.CancelledError({secret!r})", ModelUnavailable, "cancelled itself"),
    ],
)
async def test_a_planners_exception_is_classified_and_its_text_goes_only_to_the_log(
    write: Write, raised: str, kind: type[PlangateError], message: str
) -> None:
    secret = "the key is hunter2"
    module = write(
        "import asyncio\nfrom plangate.planner import *\nclass Vendors(Exception):\n    status_code = 401\n"
        f"async def plan(brief, tools):\n    raise {raised.format(secret=secret)}\n"
    )
    with capture_logs() as logs, pytest.raises(kind) as failed:
        await planner(f"{module}:plan").draft(Brief(request=REQUEST))
    if "Cancelled" not in raised:
        assert secret in [str(line["exc_info"]) for line in logs if line.get("action") == "planner_failed"]
    assert message.format(module=module) in str(failed.value)
    assert "hunter2" not in str(failed.value)
    assert failed.value.__cause__ is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "returned NoneType, not a summary"),
        ("return {'summary': 'x'}", "returned dict"),
        ("return 'I cannot.'", "proposed no steps; its answer was: 'I cannot.'"),
        ("await asyncio.sleep(60)", "did not finish the draft within 1 seconds"),
        ("while True: await tools.call('send_email', MAIL)", "more steps than the limit of 5"),
        ("while True: tools.turn('m')", "more than 100 model turns"),
        ("while True: await tools.call('nothing', {})", "11 invalid calls"),
    ],
)
async def test_a_planner_with_an_invalid_result(write: Write, body: str, message: str) -> None:
    module = write(f"import asyncio\nMAIL = {MAIL!r}\nasync def plan(brief, tools):\n    {body}\n")
    with pytest.raises((DraftUnusable, ModelUnavailable), match=message):
        await planner(f"{module}:plan", draft_seconds=1).draft(Brief(request=REQUEST))


async def test_a_planner_that_ignores_limits_and_cancellation_produces_no_plan(write: Write) -> None:
    module = write(
        f"import asyncio\nMAIL = {MAIL!r}\n"
        "async def plan(brief, tools):\n"
        "    for _ in range(20):\n"
        "        try: await tools.call('send_email', MAIL)\n"
        "        except BaseException: pass\n"
        "    return 'Done.'\n"
    )
    with pytest.raises(DraftUnusable, match="more steps than the limit"):
        await planner(f"{module}:plan").draft(Brief(request=REQUEST))


async def test_a_conversation_that_cannot_continue_starts_over_once(write: Write) -> None:
    module = write(
        f"MAIL = {MAIL!r}\n"
        "async def plan(brief, tools):\n"
        "    await tools.call('send_email', {**MAIL, 'why': str(brief.state)})\n"
        "    return 'Done.' if brief.state is None else brief.state['lost']\n"
    )
    made = await planner(f"{module}:plan").draft(Brief(request=REQUEST, state={}))
    assert [step.reason for step in made.plan.steps] == ["None"]


# ---- the example without a framework --------------------------------------------------------------


async def test_the_example_for_the_openai_client_plans_and_continues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example("planner-openai", monkeypatch)
    script: list[Reply] = [
        call("shelf", {"title": "order"}),
        call("send_email", {"why": "w"}),
        MAIL_CALL,
        DONE,
    ]
    with OpenAIServer([*script, MAIL_CALL, Says("Kinder.")], distinct=True) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        plans = planner("openai_planner:plan")
        first = await plans.draft(Brief(request=REQUEST))
        assert [step.arguments["subject"] for step in first.plan.steps] == ["Your refund"]
        assert [read.result for read in first.plan.reads] == ["42.50 EUR"]
        assert first.planner.prompt_tokens == 4 * PROMPT_TOKENS
        brief = Brief(request=REQUEST, previous=first.plan, feedback="Be kinder.", state=first.state)
        second = await plans.draft(brief)
    assert second.plan.summary == "Kinder."
    assert second.plan.reads == first.plan.reads
    assert len(server.requests[4]["messages"]) == len(server.requests[3]["messages"]) + 2
    assert KEY not in str(second.state)


@pytest.mark.parametrize(
    ("reply", "kind"), [(Status(401, {}), ModelRefused), (Status(503, {}), ModelUnavailable)]
)
async def test_the_errors_of_the_client_are_classified_as_in_plangate(
    monkeypatch: pytest.MonkeyPatch, reply: Status, kind: type[PlangateError]
) -> None:
    example("planner-openai", monkeypatch)
    with OpenAIServer([reply]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with capture_logs(), pytest.raises(kind, match=str(reply.code)):
            await planner("openai_planner:plan").draft(Brief(request=REQUEST))


# ---- agents and teams -----------------------------------------------------------------------------


async def test_the_writer_and_the_critic_plan_together(monkeypatch: pytest.MonkeyPatch) -> None:
    example("planner-writer-critic", monkeypatch)
    wrong = call("send_email", {**MAIL, "subject": "Wrong"})
    script: list[Reply] = [
        wrong, Says("First."), Says("The subject is wrong."),
        call("start_over", {}), MAIL_CALL, Says("Second."), SOUND,
    ]  # fmt: skip
    made = await draft("writer_and_critic:team", script)
    assert [step.arguments["subject"] for step in made.plan.steps] == ["Your refund"]
    assert made.plan.summary == "Second."  # the writer's message, although the critic spoke last
    assert made.planner.prompt_tokens == 7 * PROMPT_TOKENS


async def test_only_the_writer_is_given_the_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    example("planner-writer-critic", monkeypatch)
    with OpenAIServer([MAIL_CALL, DONE, SOUND]) as server:
        await planner("writer_and_critic:team", server).draft(Brief(request=REQUEST))
    offered = [{tool["function"]["name"] for tool in one.get("tools", ())} for one in server.requests]
    assert offered == [{*TOOLS, "shelf", "start_not_before", "start_over"}] * 2 + [set()]


async def test_a_team_continues_its_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    example("planner-writer-critic", monkeypatch)
    with OpenAIServer([MAIL_CALL, DONE, SOUND, MAIL_CALL, Says("Kinder."), SOUND]) as server:
        plans = planner("writer_and_critic:team", server)
        first = await plans.draft(Brief(request=REQUEST))
        brief = Brief(request=REQUEST, previous=first.plan, feedback="Be kinder.", state=first.state)
        second = await plans.draft(brief)
    assert (second.plan.summary, len(second.plan.steps)) == ("Kinder.", 1)
    messages = server.requests[3]["messages"]
    assert [one["role"] for one in messages].count("user") >= 2
    assert "Be kinder." in messages[-1]["content"]


@pytest.mark.parametrize(
    ("reply", "kind"), [(Status(401, {}), ModelRefused), (Status(503, {}), ModelUnavailable)]
)
async def test_a_failing_model_of_a_team_is_classified_as_for_an_agent(
    monkeypatch: pytest.MonkeyPatch, reply: Status, kind: type[PlangateError]
) -> None:
    example("planner-writer-critic", monkeypatch)
    with pytest.raises(kind, match=str(reply.code)):
        await draft("writer_and_critic:team", [MAIL_CALL, reply])


async def test_a_cancelled_team_leaves_no_tasks_running(monkeypatch: pytest.MonkeyPatch) -> None:
    example("planner-writer-critic", monkeypatch)
    gc.collect()
    before = asyncio.all_tasks()
    with pytest.raises(ModelUnavailable, match="within 1 seconds"):
        await draft("writer_and_critic:team", [MAIL_CALL, Hangs()], draft_seconds=1)
    gc.collect()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= before


AGENT = """
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

def act(text: str) -> str:
    "Act."
    return text

client = OpenAIChatCompletionClient(
    model="gpt-4o-mini", base_url=BASE_URL, api_key="k", include_name_in_message=False, max_retries=0
)

def one(**more):
    return AssistantAgent("solo", client, max_tool_iterations=9, **more)

agent = one()
with_tools = one(tools=[act])
async def make():
    return one()
"""


@pytest.mark.parametrize("name", ["agent", "make"])
async def test_an_agent_or_its_factory_is_given_the_tools(write: Write, name: str) -> None:
    def scripted_reply(request: dict[str, Any]) -> Calls | Says:
        return DONE if request["messages"][-1]["role"] == "tool" else MAIL_CALL

    with OpenAIServer(scripted_reply, distinct=True) as server:
        module = write(f"BASE_URL = {server.base_url!r}\n{AGENT}")
        plans = planner(f"{module}:{name}")
        await plans.try_model()
        drafts = await asyncio.gather(*(plans.draft(Brief(request=f"{REQUEST} {n}")) for n in range(2)))
        assert all(len(one.plan.steps) == 1 for one in drafts)
        await sys.modules[module].client.close()
    assert len(server.requests[-1]["messages"]) <= 5  # each draft is a separate conversation


async def test_an_agent_with_tools_that_have_effects_is_refused(write: Write) -> None:
    module = write(f"BASE_URL = 'http://127.0.0.1:9/v1'\n{AGENT}")
    with pytest.raises(PlannerInvalid, match="agent solo has its own tools, which would act without"):
        await planner(f"{module}:with_tools").try_model()


async def test_a_team_that_needs_a_model_is_refused_if_none_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example("planner-writer-critic", monkeypatch)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "PLANGATE_MODEL_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    plans = planner("writer_and_critic:team")
    await plans.try_model()
    assert not plans.has_model
    with pytest.raises(NoModel):
        await plans.draft(Brief(request=REQUEST))


async def test_no_prompt_from_a_team_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    example("planner-writer-critic", monkeypatch)
    caplog.set_level(logging.DEBUG)
    await draft("writer_and_critic:team", [MAIL_CALL, DONE, SOUND])
    shown = caplog.text + "".join(capfd.readouterr())
    for text in (REQUEST, "kim@example.org", "Your refund", KEY):
        assert text not in shown


def test_the_api_of_planners_needs_neither_autogen_nor_openai() -> None:
    code = "import plangate.planner, sys; print(sorted({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert "plangate" in done.stdout
    assert not any(name in done.stdout for name in ("autogen", "openai", "temporalio", "sqlalchemy"))
