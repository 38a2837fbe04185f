"""Submit a plan, wait for the decision and the execution, and print the outcome.

Needs `pip install '.[client]'` in Plangate's folder, a Temporal server and a worker, on any machine.
"""

import asyncio

from plangate.client import Client, PlanRequest

MAIL = {"to": ["customer@example.org"], "subject": "Your question of 3 May", "body": "We look into it."}
PLAN = {"summary": "Answer the customer", "steps": [{"tool": "send_email", "arguments": MAIL}]}


async def main() -> None:
    """Wait for a decision, whether it takes minutes or months."""
    async with await Client.connect() as client:
        run = await client.submit(PlanRequest(requester="billing-bot", plan=PLAN))
        print(f"{run} waits for its approval.", flush=True)
        result = await client.wait(run)
        print(f"{run} {result.outcome}, approved by {', '.join(result.approved_by)}.")


asyncio.run(main())
