"""`policy …`: check a policy, apply it to a plan, and print an older one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from plangate.cli import application, console, options, origin, plan_file, rule_files
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain import errors, plurals
from plangate.domain.people import assurance, people
from plangate.domain.plans import drafting
from plangate.domain.policies import rolling_totals
from plangate.domain.policies.policy import ResolveRule, Rule
from plangate.domain.policies.requirement import HOLD_SECONDS, ONE_APPROVAL, Requirement, Resolvers
from plangate.domain.times import start_times
from plangate.policy import lost_escalations, people_file, policy_file
from plangate.presentation import durations, page, words


@click.command()
@options.optional_file
@options.as_json
def check(file: Path | None, *, as_json: bool) -> int:
    """Check a policy: print its rules, or every error (exit 2)."""
    here = console.open_console(as_json=as_json)
    try:
        policy, source = _read(here, file)
    except errors.FileInvalid as error:
        return rule_files.show_faults(here, error)
    if here.screen.is_json:
        rules = [{**rule.model_dump(mode="json"), "when": when} for rule, when in policy.rules]
        default = policy.default.model_dump(mode="json")
        here.screen.print_json(
            {
                **source.as_json(),
                "hash": policy.policy_hash,
                "rules": rules,
                "default": default,
                "resolve": [
                    {**rule.model_dump(mode="json"), "when": when} for rule, when in policy.resolve_rules
                ],
                "see": [
                    {**viewers.model_dump(mode="json"), "when": when} for viewers, when in policy.see_rules
                ],
                "hold_timeout_seconds": policy.whole.hold_timeout or HOLD_SECONDS,
                "strike_keeps_approver": policy.whole.strike_keeps_approver,
            }
        )
        return Exit.DONE
    shown = page.Page()
    shown.heading(f"This policy can be used: {plurals.counted(len(policy.rules), 'rule')} and the default.")
    width = max(len(rule.name) for rule in (policy.default, *(rule for rule, _ in policy.rules)))
    for rule, when in policy.rules:
        shown.field(rule.name, _needs_of(rule), width=width)
        shown.words("when", when, indent=4)
    shown.field("otherwise", _needs_of(policy.default), width=width)
    for lost in lost_escalations.lost_escalations([*(rule for rule, _ in policy.rules), policy.default]):
        shown.note(f"Where {_words_of(lost, 'or')} matches too, {_no_effect(lost)}.", "yellow", 0)
    _add_holds(shown, policy)
    _add_viewers(shown, policy)
    _add_origin(shown, here, source)
    here.screen.show(shown)
    return Exit.DONE


@click.command()
@options.when
@options.as_json
def as_of(when: str, *, as_json: bool) -> int:
    """Print the policy that was in effect at a given time."""
    return rule_files.show_as_of(console.open_console(as_json=as_json), "policy", when)


@click.command()
@click.option("--plan", type=options.PATH, required=True, help="JSON or YAML; - reads standard input.")
@click.option("--policy", type=options.PATH, show_default="PLANGATE_POLICY", help="The policy's file.")
@click.option("--request", default="", help="The text of the request.")
@options.requester
@options.as_json
def explain(*, plan: Path, policy: Path | None, request: str, requester: str | None, as_json: bool) -> int:
    """Show what each rule of a policy requires of a plan."""
    here = console.open_console(as_json=as_json)
    tools, limit = application.declared_tools(), here.settings.max_steps
    checked = drafting.check_plan(plan_file.read_plan_file(plan, tools, limit), tools, limit)
    if policy is None and here.settings.policy_file is None:
        return _show_without_policy(here)
    try:
        found, source = _read(here, policy)
        known = people_file.read_people(here.settings.people_file) if here.settings.people_file else None
    except errors.FileInvalid as error:
        return rule_files.show_faults(here, error)
    name = people.name_for_rules(known, requester or here.user)
    alone = rolling_totals.sums_wanted(found.limits, checked, [name])
    explanation = found.explain(checked, request=request, requester=name, recent=alone)
    if here.screen.is_json:
        here.screen.print_json({**source.as_json(), **explanation.model_dump(mode="json")})
        return Exit.DONE
    shown = _explained(explanation)
    if any("duplicates" in when for _, when in found.rules):
        shown.note("Duplicates are looked up by workers only, so none are shown here.", indent=0)
    if alone:
        shown.note("Rolling totals include only this plan here; workers add the others.", indent=0)
    _add_origin(shown, here, source)
    here.screen.show(shown)
    return Exit.DONE


def _show_without_policy(here: console.Console) -> int:
    if here.screen.is_json:
        needed = ONE_APPROVAL.model_dump(mode="json")
        here.screen.print_json({"steps": [], "requirement": needed})
    else:
        shown = page.Page()
        shown.sentence(f"No policy is set here (PLANGATE_POLICY): every plan needs {ONE_APPROVAL}.")
        shown.note("A worker uses the file in its own PLANGATE_POLICY, which may be set.", "", 0)
        here.screen.show(shown)
    return Exit.DONE


def _read(here: console.Console, path: Path | None) -> tuple[policy_file.FilePolicy, origin.Origin]:
    settings = here.settings
    path = path or settings.policy_file
    if path is None:
        raise WrongUsage("Give the policy's file, or set PLANGATE_POLICY.")
    roles = people_file.read_people(settings.people_file).roles() if settings.people_file else None
    policy = policy_file.read_policy(path, application.declared_tools(), roles)
    return policy, origin.origin_of(settings, "policy", path, policy.policy_hash, "")


def _add_origin(shown: page.Page, here: console.Console, source: origin.Origin) -> None:
    shown.gap()
    if here.settings.people_file:
        shown.copied("roles from", str(here.settings.people_file.absolute()))
    source.add_to(shown)


def _needs_of(rule: Rule) -> str:
    if not rule.needs:
        return ", ".join(["needs no approval", *_times_of(rule)])
    parts = [" and ".join(map(str, rule.needs))]
    if rule.assurance is not assurance.Assurance.TYPED:
        parts.append(str(rule.assurance))
    if rule.timeout_seconds:
        parts.append(f"within {durations.duration_in_words(timedelta(seconds=rule.timeout_seconds))}")
    if rule.working:
        parts.append(f"within {rule.working}")
    for to, after in dict.fromkeys((one.to, one.after_seconds) for one in rule.escalations):
        parts.append(f"after {durations.duration_in_words(timedelta(seconds=after))} also by {to}")
    if rule.remind:
        before = " and ".join(durations.duration_in_words(timedelta(seconds=one)) for one in rule.remind)
        parts.append(f"reminders {before} before the deadline")
    if rule.approval_valid_for:
        valid = durations.duration_in_words(timedelta(seconds=rule.approval_valid_for))
        parts.append(f"each approval valid for {valid}")
    if rule.cooling_seconds:
        cooling = durations.duration_in_words(timedelta(seconds=rule.cooling_seconds))
        parts.append(f"begins {cooling} after the last approval")
    parts += _times_of(rule)
    if rule.batch:
        parts.append("may be approved together with others")
    if rule.notify_details:
        parts.append("notices describe the steps")
    return ", ".join(parts)


def _times_of(rule: Rule) -> list[str]:
    """Return a description of when a rule allows steps to begin."""
    windows = [rule.window] if rule.window is not None else []
    return [
        *(f"steps begin {start_times.calendar_words(one)} ({one.name})" for one in windows),
        *(f"no step begins {start_times.calendar_words(one)} ({one.name})" for one in rule.freezes),
    ]


def _add_holds(shown: page.Page, policy: policy_file.FilePolicy) -> None:
    """Add who may resolve a held run, the longest hold, and whether people who remove steps may approve."""
    longest = durations.duration_in_words(timedelta(seconds=policy.whole.hold_timeout or HOLD_SECONDS))
    shown.heading(f"A run whose step fails is held for {longest} at most. Who may resolve it:")
    width = max(map(len, [policy.default.name, *(rule.name for rule, _ in policy.resolve_rules)]))
    for rule, when in policy.resolve_rules:
        shown.field(rule.name, _resolving(rule), width=width)
        shown.words("when", when, indent=4)
    shown.field("otherwise", "those who could approve the plan", width=width)
    if policy.whole.strike_keeps_approver:
        shown.sentence("A person who only removes steps of a plan may still approve it.")


def _add_viewers(shown: page.Page, policy: policy_file.FilePolicy) -> None:
    """Add who may see which runs."""
    if not policy.see_rules:
        return
    shown.heading("Who may see a run:")
    width = max(map(len, [policy.default.name, *(viewers.name for viewers, _ in policy.see_rules)]))
    for viewers, when in policy.see_rules:
        shown.field(viewers.name, f"only {viewers}", width=width)
        shown.words("when", when, indent=4)
    shown.field("otherwise", "everyone on the list of people", width=width)
    shown.note("Until a run has a plan, only its requester may see it.", "", indent=2)


def _resolving(rule: ResolveRule) -> str:
    resolvers = Resolvers(any_of=(rule.roles,), assurance=rule.assurance)
    chosen = f", by {' or '.join(map(words.spelled, rule.resolutions))}" if rule.resolutions else ""
    return f"{resolvers}{chosen}"


def _add_times(shown: page.Page, requirement: Requirement) -> None:
    """Add the deadline of the review, who may approve later, and when the steps may begin."""
    for limit in requirement.working:
        shown.field("within", str(limit))
    for later in requirement.escalations:
        after = durations.duration_in_words(timedelta(seconds=later.after_seconds))
        shown.field("or", f"after {after}, {later.to} instead of {later.role}")
    if requirement.cooling_seconds:
        cooling = durations.duration_in_words(timedelta(seconds=requirement.cooling_seconds))
        shown.field("begins", f"{cooling} after the last approval, which can be withdrawn until then")
    for window in requirement.windows:
        shown.field("window", f"steps begin {start_times.calendar_words(window)} ({window.name})")
    for freeze in requirement.freezes:
        shown.field("freeze", f"no step begins {start_times.calendar_words(freeze)} ({freeze.name})")


def _no_effect(lost: lost_escalations.LostEscalation) -> str:
    after = durations.duration_in_words(timedelta(seconds=lost.after_seconds))
    return f'"after {after} also by {lost.to}" of {lost.rule} has no effect'


def _words_of(lost: lost_escalations.LostEscalation, word: str) -> str:
    return f" {word} ".join(lost.because)


def _explained(explanation: policy_file.Explanation) -> page.Page:
    shown = page.Page()
    requirement = explanation.requirement
    shown.heading(f"Under this policy file, the plan needs {requirement}.")
    for step in explanation.steps:
        shown.field(f"step {step.number}", f"{step.tool}: {', '.join(step.rules)}")
        for one in step.unclear:
            effect = "counts as matched" if one.counts else "does not exempt the step"
            if one.resolves:
                effect = "its roles are required in addition to one that could approve the plan"
            elif one.waits:
                effect += ", but its window and its freezes apply"
            elif one.sees:
                effect = "counts as matched, so only the people in it may see the run"
            shown.note(f"{one.rule} cannot be evaluated ({one.reason}), and {effect}", "yellow", indent=4)
    _add_times(shown, requirement)
    for lost in explanation.lost_escalations:
        need = "needs" if len(lost.because) == 1 else "need"
        why = f"{_words_of(lost, 'and')} {need} {lost.role} without it"
        shown.note(f"Here {_no_effect(lost)}: {why}.", "yellow", 0)
    if requirement.batch:
        shown.field("approved", "alone, or together with other plans of the same kind")
    if requirement.notify_details:
        shown.field("notices", "describe the steps")
    longest = durations.duration_in_words(timedelta(seconds=requirement.longest_hold))
    by_rules = f" (rule: {', '.join(requirement.resolvers.rules)})" if requirement.resolvers else ""
    shown.field("if held", f"for {longest} at most; resolved by {requirement.resolving}{by_rules}")
    for viewers in requirement.seen_by:
        shown.field("seen by", f"only {viewers} (rule: {viewers.name})")
    allowed = requirement.resolvers.resolutions if requirement.resolvers else ()
    if allowed:
        shown.field("by", " or ".join(map(words.spelled, allowed)))
    return shown
