"""The local activity that checks and records requests to delegate roles and to end delegations."""

from datetime import datetime
from typing import Final

import structlog
from temporalio import activity

from activities.calling_workflow import check_workflow_type, own_audience
from activities.tasks import MessageTask
from activities.temporal_failures import as_application_errors
from activities.waiting_for_records import with_time_limit
from plangate.domain.decisions.delegations import (
    DelegationAnswer,
    DelegationArrival,
    DelegationContext,
    DelegationDecided,
    DelegationRules,
    active_now,
    away_after,
    delegations_after,
    is_delegation_query,
    judge,
    read_delegation,
)
from plangate.domain.people.people import Identified
from plangate.domain.plans.plan import Audience
from plangate.records.delegation_trail import DelegationsCache, decisions_in
from plangate.records.delegations import record_delegation
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from plangate.signing.delegations import delegation_sender
from plangate.temporal.contract import DELEGATION_TYPE

_log: Final = structlog.get_logger(__name__)


class Delegating:
    """Checks and records requests to delegate."""

    def __init__(
        self, records: Records, directory: RecordedPeople, rules: DelegationRules, policy_hash: str
    ) -> None:
        self._records = records
        self._directory = directory
        self._rules = rules
        self._policy_hash = policy_hash

    @activity.defn
    async def judge_delegation(self, task: MessageTask) -> DelegationAnswer:
        """Record the request with its result, and return it with the current delegations and absences.

        A query gets a result, but is not recorded.

        Raises:
            ApplicationError: the records or the list of people are unavailable.
        """
        with as_application_errors():
            check_workflow_type(DELEGATION_TYPE)
            audience = own_audience(self._records)
            decided: DelegationDecided | None = None
            if not is_delegation_query(task.inputs):
                arrival = read_delegation(key=task.key, inputs=task.inputs, received_at=task.received_at)
                decided = await with_time_limit(self._records, self._recorded(arrival, audience, task.at))
                _log_decided(decided)
                if decided.verdict.accepted:
                    # This worker applies it now.
                    await with_time_limit(self._records, self._directory.people(fresh=True))
            entries = await with_time_limit(self._records, self._records.read(DelegationsCache().read))
            return DelegationAnswer(
                audience=audience,
                accepted=decided.verdict.accepted if decided else None,
                reason=decided.verdict.reason if decided else "",
                lent=active_now(delegations_after(decisions_in(entries)), task.at),
                away=active_now(away_after(decisions_in(entries)), task.at),
            )

    async def _recorded(
        self, arrival: DelegationArrival, audience: Audience, at: datetime
    ) -> DelegationDecided:
        people = await self._directory.people(fresh=True)
        by = DelegationContext(rules=self._rules, at=at, policy=self._policy_hash)
        order = arrival.order
        sender = Identified()
        if order is not None:
            sender = delegation_sender(order, audience=audience, people=people, at=arrival.received_at)
        return await self._records.write(
            lambda connection: record_delegation(
                connection, arrival, sender, lambda before, known: judge(before, arrival, known, people, by)
            ),
            receipt=True,
        )


def _log_decided(decided: DelegationDecided) -> None:
    order = decided.arrival.order
    _log.info(
        "A request about a delegation or an absence is recorded.",
        action="delegation_decided",
        order=order.action.value if order else None,
        accepted=decided.verdict.accepted,
        reason=decided.verdict.reason,
    )
