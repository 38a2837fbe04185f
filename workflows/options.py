"""Every timeout and retry of the workflow, each with its reason.

No activity has a limit on its whole life: how long a worker is away must not decide what becomes of a
request. How often and how long they are tried is counted by the activities themselves, which know a failure
of the records (never final) from one of the model or of a tool.
"""

from datetime import timedelta
from typing import Final, TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from plangate.domain.tool import LONGEST_ACT


class RegularOptions(TypedDict):
    """Options of an activity that is scheduled on the task queue."""

    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


class LocalOptions(TypedDict):
    """Options of an activity that runs inside the workflow task."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


DRAFT: Final = RegularOptions(
    # Above the draft's own limit (PLANGATE_DRAFT_SECONDS), which gives the better message.
    start_to_close_timeout=timedelta(hours=1),
    # Heartbeats come every second; a worker that misses twelve is dead, and another one starts over. No
    # sooner, for a draft that is made twice is paid for twice.
    heartbeat_timeout=timedelta(seconds=12),
    # From two seconds to a minute apart, so that a draft goes on within a minute of the end of an outage; how
    # long it is tried again is a setting of the worker (PLANGATE_MODEL_OUTAGE_SECONDS).
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=2), backoff_coefficient=2.5, maximum_interval=timedelta(minutes=1)
    ),
    # A withdrawal ends the draft at once: nothing in it acts.
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)

STEP: Final = RegularOptions(
    # Above the longest that a tool may declare, the minute to find out what became of it, and the patience
    # with which the receipt is stored. A dead worker is noticed by its heartbeats long before.
    start_to_close_timeout=timedelta(seconds=LONGEST_ACT, minutes=10),
    # Heartbeats come every second; after four seconds without one the step goes on elsewhere, as the claim in
    # the ledger says. What that costs where the worker only stood still: docs/decisions/0029.
    heartbeat_timeout=timedelta(seconds=4),
    # From one second to five minutes apart, over about half an hour: see `activities.execution.STEP_TRIES`.
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2.5, maximum_interval=timedelta(minutes=5)
    ),
    # A withdrawal waits for the step's true end: what has begun to act is never broken off.
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)

RECORD: Final = LocalOptions(
    # Reading when a flood of signals came takes its time; the records are waited for much shorter.
    start_to_close_timeout=timedelta(seconds=40),
    # Twice, over in three seconds: a workflow task waits with it, and so does all that is asked of the run.
    retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2),
)

WAIT: Final = RegularOptions(
    # Above the eight seconds that the activity itself waits for an answer.
    start_to_close_timeout=timedelta(seconds=15),
    heartbeat_timeout=timedelta(seconds=15),
    # Without end, for nothing may follow from a decision that is not on the record, and never more than 20
    # seconds apart: what waits is judged within a minute of the repair. Tries write no history.
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20)),
    # A run that ends otherwise needs no answer.
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)

# Where the records seemed to answer and the write failed all the same: a pause that grows to this.
LONGEST_PAUSE: Final = timedelta(seconds=30)
# And where it failed for another reason than their absence: a fault of ours is not mended in a minute.
LONGEST_PAUSE_OF_A_FAULT: Final = timedelta(hours=1)

# How much of what is not judged yet continue-as-new hands on: with the largest plan, half of what the server
# takes as one payload (2 MB).
CARRY_BYTES: Final = 750_000
# How many arrivals one admission takes: enough for a flood, small enough to be read in a tenth of a second,
# for all else in the worker waits while a run is between two of its waits.
ADMIT_AT_ONCE: Final = 100
# And how many bytes of them: an eighth of what the server takes as one payload (2 MB).
ADMIT_BYTES: Final = 250_000
# How many of the decisions that cannot be recorded a status names.
LISTED_UNRECORDED: Final = 5
# How many bytes of admissions are reported to the server at once: a quarter of what it takes (4 MB).
REPORT_BYTES: Final = 1_000_000
# The shortest timer there is: it ends a workflow task and begins another.
SHORTEST: Final = timedelta(milliseconds=1)
