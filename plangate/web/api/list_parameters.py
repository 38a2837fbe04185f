"""Define the parameters of a list of runs, strictly: an ignored filter would list too much."""

import re
from datetime import date
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from plangate.web.run_lists import MOST_PAGES, PAGE, STATES, RunList, Search

_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST: Final = 200


def _iso_day(value: object) -> object:
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("must be a day such as 2026-05-03")
    return value


def _known_state(value: str | None) -> str | None:
    if value is not None and value not in STATES:
        raise ValueError(f"must be one of: {', '.join(STATES)}")
    return value


Day = Annotated[date, BeforeValidator(_iso_day)]
State = Annotated[str, AfterValidator(_known_state), Field(json_schema_extra={"enum": list(STATES)})]


class RunsWanted(BaseModel):
    """Which runs to list; omitted parameters do not narrow the list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    which: RunList = Field(default=RunList.FOR_ME, alias="list", description="Which list of runs.")
    q: str = Field(
        default="",
        max_length=_LONGEST,
        description="Words that occur in the id, the requester, the request, the summary or a step.",
    )
    requester: str = Field(default="", max_length=_LONGEST, description="The requester's name.")
    tool: str = Field(default="", max_length=_LONGEST, description="A tool that a step uses.")
    state: State | None = Field(default=None, description="The state that the run is in.")
    since: Day | None = Field(default=None, alias="from", description="Requested on this day (UTC) or later.")
    until: Day | None = Field(default=None, description="Requested on this day (UTC) or earlier.")
    page: int = Field(default=1, ge=1, le=MOST_PAGES, description=f"Which page, of {PAGE} runs each.")

    @property
    def search(self) -> Search:
        """The parameters as a `Search`, as the pages use it."""
        return Search(
            text=self.q,
            requester=self.requester,
            tool=self.tool,
            state=self.state or "",
            since=self.since,
            before=self.until,
            page=self.page,
        )
