"""The tables and keys of a policy file; the lists in docs/policy.md are generated from here."""

from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from plangate.domain.base import Typed
from plangate.domain.decisions.decision import Resolution
from plangate.domain.people.assurance import Assurance, read_assurance
from plangate.domain.policies.requirement import LONGEST_COOLING, MAX_COUNT
from plangate.domain.policies.viewers import Party
from plangate.domain.times.durations import read_duration
from plangate.domain.times.working_time import read_working
from plangate.policy.toml_file import Name


def _seconds(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("must be text such as '4h'")  # noqa: TRY004  pydantic expects a ValueError
    return read_duration(value)


def _cooling(value: object) -> int:
    seconds = _seconds(value)
    if seconds > LONGEST_COOLING:
        raise ValueError(f"{value!r} is longer than {LONGEST_COOLING // 3600} hours")
    return seconds


def _names(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _resolution(value: object) -> Resolution:
    if value not in list(Resolution):
        raise ValueError(f"must be one of: {', '.join(Resolution)}")
    return Resolution(str(value))


def _party(value: object) -> Party:
    if value not in list(Party):
        raise ValueError(f"must be one of: {', '.join(Party)}")
    return Party(str(value))


MOST_REMINDERS: Final = 5
MOST_ESCALATIONS: Final = 5
Seconds = Annotated[int, BeforeValidator(_seconds)]
Proof = Annotated[Assurance, BeforeValidator(read_assurance)]
When = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
_CONDITION: Final = (
    "a condition in [CEL](https://cel.dev) on [these variables](#variables-of-a-condition), for each step"
)
_NAME: Final = "its unique name, which is recorded"


class WorkingTimeEntry(Typed):
    """A time limit in working time: days or hours."""

    days: int = 0
    hours: int = 0


def _limit(value: object) -> int | WorkingTimeEntry:
    working = read_working(value) if isinstance(value, str) else None
    return WorkingTimeEntry(days=working[0], hours=working[1]) if working else _seconds(value)


class EscalateEntry(Typed):
    """One item of ``escalate``."""

    model_config = ConfigDict(strict=True)

    after: Seconds
    to: Name


class NeedEntry(Typed):
    """One item of ``needs``."""

    model_config = ConfigDict(strict=True)

    role: Name
    count: int = Field(default=1, ge=1, le=MAX_COUNT)


class DefaultEntry(Typed):
    """The table ``[default]``."""

    model_config = ConfigDict(strict=True)

    needs: list[NeedEntry] = Field(
        description=f"approvals by a role: `count` of them (default 1, at most {MAX_COUNT}); an empty list "
        "exempts the step"
    )
    assurance: Proof = Field(
        default=Assurance.TYPED,
        description='the minimum [proof](#keys-passkeys-and-logins): `"typed"` (default), `"login"` or '
        '`"signed"`',
    )
    timeout: Annotated[int | WorkingTimeEntry, BeforeValidator(_limit)] | None = Field(
        default=None,
        description="how long the review may take: `4h`, `2 working days` or `6 working hours`; the shortest "
        "applies",
    )
    calendar: Name | None = Field(
        default=None, description="the [calendar](#working-time) that defines its working time"
    )
    remind: list[Seconds] = Field(
        default_factory=list,
        max_length=MOST_REMINDERS,
        description="how long before the deadline people who can still approve are reminded: "
        '`["24h", "2h"]`. Default: never',
    )
    escalate: list[EscalateEntry] = Field(
        default_factory=list,
        max_length=MOST_ESCALATIONS,
        description="roles that may also approve after a review has lasted for a given time; "
        "see [escalation](#escalation)",
    )
    approval_valid_for: Seconds | None = Field(
        default=None,
        description="how old an approval may be when a step starts; "
        "if it is older, the plan is in review again",
    )

    settle: Annotated[int, BeforeValidator(_cooling)] | None = Field(
        default=None,
        description="how long steps wait after the last approval, so that it can be withdrawn; at most `24h`",
    )
    window: Name | None = Field(
        default=None,
        description="a [calendar](#start-times): steps start only in its working time. Default: at any time",
    )
    freeze: Annotated[list[Name], BeforeValidator(_names)] = Field(
        default_factory=list,
        description="a [calendar](#start-times), or a list of them: no step starts in its working time",
    )
    batch: bool = Field(
        default=False,
        description="whether several such plans may be approved with one confirmation. Default: `false`",
    )
    notify_details: bool = Field(
        default=False,
        description="whether [notices](howto-notices.md) may show what the steps do. Default: `false`",
    )


class RuleEntry(DefaultEntry):
    """A table ``[[rule]]``."""

    name: Name = Field(description=_NAME)
    when: When = Field(description=_CONDITION)


class ResolveEntry(Typed):
    """A table ``[[resolve]]``."""

    model_config = ConfigDict(strict=True)

    name: Name = Field(description=_NAME)
    when: When = Field(description=_CONDITION)
    roles: list[Name] = Field(min_length=1, description="a person needs one of these roles to resolve")
    assurance: Proof = Field(
        default=Assurance.TYPED,
        description="the proof that a resolution must have, at least as strong as for an approval",
    )
    resolutions: list[Annotated[Resolution, BeforeValidator(_resolution)]] | None = Field(
        default=None,
        min_length=1,
        description="which of `retry`, `skip`, `mark_done`, `undo` they may choose, in addition to `abort`. "
        "Default: all",
    )


class SeeEntry(Typed):
    """A table ``[[see]]``."""

    model_config = ConfigDict(strict=True)

    name: Name = Field(description=_NAME)
    when: When = Field(description=_CONDITION)
    who: list[Annotated[Party, BeforeValidator(_party)]] = Field(
        default_factory=list,
        description="who may see the run: `requester`, `authors` (who edited the plan) or `deciders` "
        "(who always may)",
    )
    roles: list[Name] = Field(
        default_factory=list, description="people with one of these roles may also see it"
    )


class WholePolicy(Typed):
    """The keys at the top of the file, which apply to every plan."""

    model_config = ConfigDict(strict=True)

    hold_timeout: Seconds | None = Field(
        default=None,
        description="how long a run may be held before it is aborted. Default: `72h`",
    )
    delegable: list[Name] = Field(
        default_factory=list,
        description="roles that people [may delegate](#delegated-roles) for a limited time. Default: none",
    )
    strike_keeps_approver: bool = Field(
        default=False,
        description="whether people who only removed steps of a plan may still approve it. Default: `false`",
    )
