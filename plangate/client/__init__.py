"""The client: submit a request or a plan, decide, get the status of a run, wait for it to end, list runs.

It refers to the workflow by its type name. May import presentation, records, temporal and the layers
below.
"""

from plangate.domain.decisions.decision import Choice, Decision, DecisionAnswer, Resolution
from plangate.domain.errors import (
    IdInUse,
    ListIncomplete,
    NotAnswered,
    PlangateError,
    RecordsMissing,
    RecordsUnavailable,
    Refused,
    RequestInvalid,
    RunNotFound,
    SettingsInvalid,
    StatusContradicts,
    TemporalDenied,
    TemporalUnreachable,
)
from plangate.domain.plans.plan import Plan, ProposedPlan, ProposedStep, Step
from plangate.domain.runs.audit import AuditEntry, Outcome
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import RunResult, Status
from plangate.extras import missing_extra

try:
    from plangate.client.client import Client
    from plangate.client.waiting_runs import WaitingRuns
    from plangate.records.lists import WAITING, Wanted
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        missing_extra(error, "plangate.client") or str(error), name=error.name, path=error.path
    ) from error

__all__ = [
    "WAITING",
    "AuditEntry",
    "Choice",
    "Client",
    "Decision",
    "DecisionAnswer",
    "IdInUse",
    "ListIncomplete",
    "NotAnswered",
    "Outcome",
    "Plan",
    "PlanRequest",
    "PlangateError",
    "ProposedPlan",
    "ProposedStep",
    "RecordsMissing",
    "RecordsUnavailable",
    "Refused",
    "RequestInvalid",
    "Resolution",
    "RunNotFound",
    "RunResult",
    "SettingsInvalid",
    "Status",
    "StatusContradicts",
    "Step",
    "TemporalDenied",
    "TemporalUnreachable",
    "WaitingRuns",
    "Wanted",
]
