"""Run a complete Plangate in a test's process: records, a worker with the test's tools, and runs."""

import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from plangate.client import Client
from plangate.domain.errors import OperatorError
from plangate.domain.people.people import Directory
from plangate.domain.runs.request import PlanRequest
from plangate.domain.times.durations import read_duration
from plangate.policy.policy_file import FilePolicy
from plangate.records.database import Database
from plangate.records.rule_texts import record_rules
from plangate.settings import Settings
from plangate.testing.application import BuildWorker
from plangate.testing.approvers import Approver
from plangate.testing.called_tool import Call, called
from plangate.testing.planner import Script, ScriptedPlanner
from plangate.testing.plans import Plan, as_plan
from plangate.testing.rules import ChangeablePeople, directory_of, policy_of
from plangate.testing.run import Run
from plangate.testing.server import Server
from plangate.testing.tools import as_tool, by_name

_WORKER = "the test's worker"


class _TestSettings(Settings):
    """Settings that ignore the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return only the source for the arguments."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


class Gate:
    """A Plangate installation with one worker; the test provides tools, policy and people.

    Args:
        server: the Temporal server to use.
        build_worker: the application's function.
        folder: the folder for its files.
        tools: tools, classes of tools, or functions.
        policy: the text of a policy file; if empty, anyone but the requester can approve.
        people: the text of a list of people; if empty, any name is valid.
        planner: drafts plans from text requests.

    Raises:
        FileInvalid: the policy or the list of people has errors.
        OperatorError: there is no tool, a value is not a tool, or two tools have the same name.
    """

    def __init__(
        self,
        server: Server,
        build_worker: BuildWorker,
        folder: Path,
        *,
        tools: Sequence[Any],
        policy: str = "",
        people: str = "",
        planner: Script | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self._server = server
        self._build_worker = build_worker
        self._settings = _TestSettings(task_queue=f"test-{secrets.token_hex(6)}", var_dir=folder)
        given = by_name([as_tool(one, lambda: self._settings) for one in tools])
        self._tools = {name: called(tool, self.calls) for name, tool in given.items()}
        self._directory: Directory = directory_of(people)
        declarations = {name: tool.declaration for name, tool in self._tools.items()}
        self._policy = policy_of(policy, declarations, self._directory)
        self._planner = ScriptedPlanner(planner)
        self._database = Database(folder / "records.db")
        self._client = Client(server.environment.client, self._settings.task_queue, self._database)
        self._worker = AsyncExitStack()

    def __enter__(self) -> Self:
        self._database.migrate()
        if isinstance(self._policy, FilePolicy):
            record_rules(self._database, "policy", self._policy.text, self._policy.policy_hash, _WORKER)
        self._server.wait_for(self._start_worker())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.wait_for(self._worker.aclose())
        self._database.close()

    def run(
        self,
        what: str | Plan | Sequence[Plan],
        *approvers: Approver,
        requester: str = "rita",
        timeout: str | timedelta = "72h",
    ) -> Run:
        """Start a run, let people decide, and return it when it has ended or waits for another decision.

        Args:
            what: a text request, a plan, or one or more of its steps.
            approvers: each decides once, in this order, on the plan or step that waits at that point.
            requester: the person who submits the request.
            timeout: how long a review may take, such as 4h.

        Raises:
            AssertionError: the run does not end or reach a wait in time.
        """
        limit = timeout if isinstance(timeout, timedelta) else timedelta(seconds=read_duration(timeout))
        words, plan = (what, None) if isinstance(what, str) else ("", as_plan(what))
        request = PlanRequest.model_validate(
            {
                "requester": requester,
                "request": words,
                "plan": plan,
                "timeout_seconds": int(limit.total_seconds()),
            }
        )
        run_id = self._server.wait_for(self._client.submit(request))
        run = Run(run_id, self._server, self._client, self.calls, tuple(self._tools))
        run.wait_until_idle()
        for one in approvers:
            if one.decision:
                run.decide(one)
        return run

    def change_people(self, text: str) -> None:
        """Replace the list of people.

        Raises:
            FileInvalid: the list has errors.
            OperatorError: the installation was started without a list.
        """
        if not isinstance(self._directory, ChangeablePeople):
            raise OperatorError(
                "This test installation has no list of people; pass one: plangate(…, people=…)."
            )
        self._directory.change(text)

    async def _start_worker(self) -> None:
        worker = self._build_worker(
            self._server.environment.client,
            self._settings,
            database=self._database,
            tools=self._tools,
            planner=self._planner,
            policy=self._policy,
            directory=self._directory,
        )
        await self._worker.enter_async_context(worker)
