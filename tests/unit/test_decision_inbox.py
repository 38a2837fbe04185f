"""The decision inbox passes its messages on in batches that a workflow task can process."""

import pytest

from tests.support.build import arrival
from workflows.decision_inbox import DecisionInbox


@pytest.mark.parametrize(("room_for", "passed_on"), [(0, 1), (1, 1), (2, 2), (9, 2)])
def test_a_batch_has_the_oldest_message_of_any_size_and_those_that_also_fit(
    room_for: int, passed_on: int
) -> None:
    inbox, messages = DecisionInbox(), [arrival("approve", by=name) for name in ("ann", "bob", "cal")]
    inbox.restore(messages)
    size = len(messages[0].model_dump_json().encode())
    assert inbox.first(2, room_for * size) == tuple(messages[:passed_on])
    assert len(inbox) == len(messages)
