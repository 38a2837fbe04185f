"""Every timeout and retry of the workflow, each with its reason.

No activity has a schedule-to-close timeout: a worker's absence must not end a request. The activities count
their attempts themselves, because they can tell a failure of the records (never final) from one of the model
or of a tool.
"""

from datetime import timedelta
from typing import Final, TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from plangate.domain.tool import LONGEST_ACT, LONGEST_SETTLEMENT


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
    # Heartbeats come every second; a worker that misses twelve counts as dead, and another one starts over. A
    # shorter timeout would repeat drafts needlessly, and each repeat costs money.
    heartbeat_timeout=timedelta(seconds=12),
    # From two seconds to a minute apart: a draft continues within a minute of the end of an outage.
    # How long it is retried is a setting of the worker (PLANGATE_MODEL_OUTAGE_SECONDS).
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=2), backoff_coefficient=2.5, maximum_interval=timedelta(minutes=1)
    ),
    # A withdrawal ends the draft immediately, because nothing in a draft has an effect.
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)

STEP: Final = RegularOptions(
    # Above the longest time that a tool may declare, plus a minute for `find_out` and the retries of storing
    # the receipt. Missing heartbeats reveal a dead worker long before.
    start_to_close_timeout=timedelta(seconds=LONGEST_ACT, minutes=10),
    # Heartbeats come every second; after four seconds without one, another worker continues the step from its
    # claim. If the worker was only suspended, this has a cost: docs/decisions/0029.
    heartbeat_timeout=timedelta(seconds=4),
    # From one second to five minutes apart, over about half an hour: see `plangate.domain.tool.STEP_TRIES`.
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2.5, maximum_interval=timedelta(minutes=5)
    ),
    # A withdrawal waits until the step has ended, because an act that has begun is never cancelled.
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)

RECORD: Final = LocalOptions(
    # Long enough to read when a flood of signals arrived; the wait for the records is much shorter.
    start_to_close_timeout=timedelta(seconds=40),
    # Two attempts within three seconds: the workflow task, queries and updates wait for them.
    retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2),
)

AT_ONCE: Final = LocalOptions(
    # The activity limits itself to a second or two, because the workflow task waits for it. If it fails once,
    # an ordinary activity follows. A short timeout here would fire in the SDK after a worker has ended.
    start_to_close_timeout=timedelta(seconds=40),
    retry_policy=RetryPolicy(maximum_attempts=1),
)

WAIT: Final = RegularOptions(
    # Above the eight seconds that the activity itself waits for an answer.
    start_to_close_timeout=timedelta(seconds=15),
    heartbeat_timeout=timedelta(seconds=15),
    # Unlimited, because an unrecorded decision must have no effect; at most 20 seconds apart, so that
    # decisions are judged within a minute of the repair. Attempts write no history.
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20)),
    # A run that ends for another reason needs no answer.
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)

LOOK_UP: Final = RegularOptions(
    # Each tool has a minute to answer, one step after the other.
    start_to_close_timeout=timedelta(hours=1),
    # As for a step; a repeated look-up costs one more request.
    heartbeat_timeout=timedelta(seconds=4),
    # Only access to the records is retried here; a tool that does not answer is asked after the next pause.
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
    # A look-up changes nothing.
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)

# From the first look-up to the second; each pause is twice as long as the one before. Most refunds and
# transfers are final within minutes.
FIRST_LOOK_UP_PAUSE: Final = timedelta(minutes=1)
# A reversed payment is noticed within six hours; a month of look-ups is some 130 requests.
LONGEST_LOOK_UP_PAUSE: Final = timedelta(hours=6)
# For a tool that could not be asked when its time was over: as long as most outages take.
LOOK_UP_GRACE: Final = timedelta(days=1)
# If no look-up is possible (other records, a bug), it is tried for as long as the longest look-up may take.
LONGEST_LOOK_UP: Final = LONGEST_SETTLEMENT + LOOK_UP_GRACE

# The longest pause between writes that fail although the records answer.
LONGEST_PAUSE: Final = timedelta(seconds=30)
# The longest pause if they fail for a reason other than an outage: no bug is fixed within a minute.
LONGEST_PAUSE_OF_A_FAULT: Final = timedelta(hours=1)

# How many bytes of arrivals continue-as-new carries over: with the largest plan, 50% of the server's limit
# for a payload (2 MB).
CARRY_BYTES: Final = 750_000
# How many arrivals one admission takes: enough for a flood, few enough to be parsed in 0.1 s, because
# everything else in the worker waits for it.
ADMIT_AT_ONCE: Final = 100
# The most bytes of arrivals that one admission takes: 12.5% of the server's limit for a payload (2 MB).
ADMIT_BYTES: Final = 250_000
# How many unrecorded decisions a status names.
LISTED_UNRECORDED: Final = 5
# The most bytes of admissions in one report to the server: 25% of its limit (4 MB).
REPORT_BYTES: Final = 1_000_000
# The shortest possible timer: it ends a workflow task and begins another.
LONGEST_SLEEP: Final = timedelta(days=30)  # after it, whether a step may begin is checked again
SHORTEST: Final = timedelta(milliseconds=1)
