"""All timeouts and retries of the workflow, each with its reason.

No activity has a schedule-to-close timeout: a request must not end because no worker is running. The
activities count their attempts themselves, because they can distinguish a failure of the records (never
final) from a failure of the model (`PLANGATE_MODEL_OUTAGE_SECONDS`) or of a tool (`STEP_TRIES` in
`plangate.domain.plans.tool`). `activities.temporal_failures` decides which errors are retried at all.
"""

from datetime import timedelta
from typing import Final, TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from plangate.domain.plans.tool import LONGEST_ACTION, LONGEST_SETTLEMENT


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
    # Above the draft's own limit (PLANGATE_DRAFT_SECONDS), whose error message is better.
    start_to_close_timeout=timedelta(hours=1),
    # Heartbeats are sent every second; a worker that misses twelve is considered dead, and another worker
    # starts over. A shorter timeout would repeat drafts unnecessarily, and each repetition costs money.
    heartbeat_timeout=timedelta(seconds=12),
    # The attempts are two seconds to a minute apart: a draft continues within a minute of the end of an
    # outage. A setting of the worker (PLANGATE_MODEL_OUTAGE_SECONDS) limits how long it is retried.
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=2), backoff_coefficient=2.5, maximum_interval=timedelta(minutes=1)
    ),
    # A withdrawal ends the draft immediately, because nothing in a draft has an effect.
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)

STEP: Final = RegularOptions(
    # Above the longest time that a tool may declare, plus a minute for `find_out` and the retries of storing
    # the receipt. If the worker is dead, its missing heartbeats are noticed much earlier.
    start_to_close_timeout=timedelta(seconds=LONGEST_ACTION, minutes=10),
    # Heartbeats are sent every second; after four seconds without one, another worker continues the step from
    # its claim. For the cost if the worker was only suspended, see docs/decisions/0029.
    heartbeat_timeout=timedelta(seconds=4),
    # The attempts are one second to five minutes apart, over about half an hour: see
    # `plangate.domain.plans.tool.STEP_TRIES`.
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2.5, maximum_interval=timedelta(minutes=5)
    ),
    # A withdrawal waits until the step has ended, because an action that was started is never cancelled.
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)

RECORD: Final = LocalOptions(
    # Long enough to read a large number of signals; the wait for the records is much shorter.
    start_to_close_timeout=timedelta(seconds=40),
    # Two attempts within three seconds: the workflow task, queries and updates wait for them.
    retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2),
)

AT_ONCE: Final = LocalOptions(
    # The activity limits itself to a second or two, because the workflow task waits for it. If it fails once,
    # an ordinary activity is started. A short timeout here would be triggered in the SDK after a worker has
    # ended.
    start_to_close_timeout=timedelta(seconds=40),
    retry_policy=RetryPolicy(maximum_attempts=1),
)

WAIT: Final = RegularOptions(
    # Above the eight seconds that the activity itself waits for a response.
    start_to_close_timeout=timedelta(seconds=15),
    heartbeat_timeout=timedelta(seconds=15),
    # Unlimited, because an unrecorded decision must have no effect; at most 20 seconds apart, so that
    # decisions are processed within a minute after the records become available again. Attempts write no
    # history.
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20)),
    # A run that ends for any other reason does not need the result.
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)

LOOK_UP: Final = RegularOptions(
    # Each tool has a minute to respond, one step after the other.
    start_to_close_timeout=timedelta(hours=1),
    # As for a step; a repeated look-up costs one more request.
    heartbeat_timeout=timedelta(seconds=4),
    # Only access to the records is retried here; a tool that does not respond is called again after the next
    # pause.
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
    # A look-up changes nothing.
    cancellation_type=ActivityCancellationType.TRY_CANCEL,
)

# The time from the first look-up to the second; each pause is twice as long as the previous one. Most refunds
# and transfers are final within minutes.
FIRST_LOOK_UP_PAUSE: Final = timedelta(minutes=1)
# A reversed payment is noticed within six hours; a month of look-ups is about 130 requests.
LONGEST_LOOK_UP_PAUSE: Final = timedelta(hours=6)
# The additional time for a tool that could not be called before its time ran out: most outages are shorter.
LOOK_UP_GRACE: Final = timedelta(days=1)
# If no look-up is possible (other records, a bug), it is retried for as long as the longest look-up may take.
LONGEST_LOOK_UP: Final = LONGEST_SETTLEMENT + LOOK_UP_GRACE

# The longest pause between writes that fail although the records respond.
LONGEST_PAUSE: Final = timedelta(seconds=30)
# The longest pause if they fail for a reason other than an outage, because no bug is fixed within a minute.
LONGEST_PAUSE_OF_A_FAULT: Final = timedelta(hours=1)

# The maximum size of the messages that continue-as-new passes on, in bytes: with the largest plan, 50% of the
# server's limit for a payload (2 MB).
CARRY_BYTES: Final = 750_000
# The number of messages that are processed at once: enough for a large number of signals, but few enough to
# be parsed in 0.1 s, because everything else in the worker waits for it.
ADMIT_AT_ONCE: Final = 100
# The maximum size of the messages that are processed at once, in bytes: 12.5% of the server's limit for a
# payload (2 MB).
ADMIT_BYTES: Final = 250_000
# The number of unrecorded decisions that a status lists.
LISTED_UNRECORDED: Final = 5
# The maximum size of processed messages in one report to the server, in bytes: 25% of its limit (4 MB).
REPORT_BYTES: Final = 1_000_000
# After this pause, the check whether a step may begin is repeated.
LONGEST_SLEEP: Final = timedelta(days=30)
# The shortest possible timer: it ends a workflow task and begins another.
SHORTEST: Final = timedelta(milliseconds=1)
