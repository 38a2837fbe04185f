"""Submit a plan, wait until people decided and it ran, and print how it ended.

Needs `pip install '.[client]'` in Plangate's folder, a Temporal server and a worker, wherever they run.
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
