"""Submit a plan, wait for the decision and the execution, and print the outcome.

Needs `pip install '.[client]'` in Plangate's folder, and a Temporal server and a worker, on this or any other
machine.
"""

import asyncio
import sys

from plangate.client import Client, PlangateError, PlanRequest

MAIL = {"to": ["customer@example.org"], "subject": "Your question of 3 May", "body": "We are checking it."}
PLAN = {"summary": "Answer the customer", "steps": [{"tool": "send_email", "arguments": MAIL}]}


async def main() -> None:
    """Submit the plan and wait for the decision, however long that takes."""
    async with await Client.connect() as client:
        run = await client.submit(PlanRequest(requester="billing-bot", plan=PLAN))
        print(f"{run} waits for its approval.", flush=True)
        result = await client.wait(run)
        approved_by = ", ".join(result.approved_by) or "no one"
        print(f"{run} {result.outcome}, approved by {approved_by}.")


try:
    asyncio.run(main())
except PlangateError as error:
    sys.exit(str(error))
