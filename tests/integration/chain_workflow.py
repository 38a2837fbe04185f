"""A workflow of many consecutive activities; the sandbox imports it."""

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def link() -> None:
    """Do nothing."""


@workflow.defn(name="Chain")
class Chain:
    """A chain of ``links`` activities, each started when the previous one is done."""

    @workflow.run
    async def run(self, links: int) -> None:
        for _ in range(links):
            await workflow.execute_activity(link, start_to_close_timeout=timedelta(seconds=10))
