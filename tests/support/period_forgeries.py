"""Forged evidence of a period, by an attacker who lacks only the seal key and adapts all other data.

Each forgery takes the lines of an intact file and returns the forged ones, with text that a finding must
contain.
"""

import copy
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.audit.evidence import overview_of
from plangate.audit.period import Counting
from plangate.domain.runs.audit import FIRST_HASH, AuditEntry, WrittenEntry
from plangate.domain.runs.checkpoint import Checkpoint, CheckpointClaims, Seal, root_of
from plangate.domain.runs.findings import Finding, readable
from plangate.records.database import Database
from plangate.signing.checkpoints import TYPE, claims_of
from plangate.signing.jws import public_of, write_token
from tests.support.audit_edits import other_event, other_text
from tests.support.build import NOON
from tests.support.fresh_records import fresh_records
from tests.support.periods import SINCE, UNTIL, examined, exported, some_hours

EVE = Ed25519PrivateKey.from_private_bytes(b"eve".ljust(32))
Line = dict[str, Any]
Lines = list[Line]


@dataclass(frozen=True)
class ForgerFiles:
    """The forger's files: of the period, of the time around it, and of another installation."""

    folder: Path

    @cached_property
    def _ours(self) -> Database:
        return self._records("ours.db")

    @cached_property
    def intact(self) -> Lines:
        return _read(exported(self._ours))

    @cached_property
    def earlier(self) -> Lines:
        return _read(exported(self._ours, NOON - timedelta(hours=1), NOON + timedelta(minutes=20)))

    @cached_property
    def later(self) -> Lines:
        return _read(exported(self._ours, UNTIL, UNTIL + timedelta(minutes=30)))

    @cached_property
    def elsewhere(self) -> Lines:
        return _read(exported(self._records("elsewhere.db", EVE)))

    def _records(self, name: str, *key: Ed25519PrivateKey) -> Database:
        database = fresh_records(self.folder / name)
        some_hours(database, *key)
        return database


@dataclass(frozen=True)
class Case:
    """One forged file."""

    kind: str
    words: tuple[str, ...]
    lines: Lines

    def missed(self) -> str | None:
        """Return the error of the check, or None if it reports the forgery."""
        found = examined(_written(self.lines))[1]
        said = [str(finding) for finding in found]
        if not said:
            return f"{self.kind}: nothing was found"
        if self.words and not any(word in one for word in self.words for one in said):
            return f"{self.kind}: not reported, but {said[:3]}"
        return None


def forged(files: ForgerFiles, seed: int) -> Case:
    """Return the forged file of one seed; the seeds cycle through the kinds."""
    kinds = sorted(FORGERIES)
    kind, rng = kinds[seed % len(kinds)], Random(seed)
    lines = copy.deepcopy(files.intact)
    words = FORGERIES[kind](lines, rng, files)
    assert lines != files.intact, f"{kind}, seed {seed}, changed nothing"
    return Case(kind=kind, words=words, lines=lines)


def _read(lines: Iterable[bytes]) -> Lines:
    return [json.loads(line) for line in lines]


def _written(lines: Lines) -> list[bytes]:
    return [json.dumps(line).encode() + b"\n" for line in lines]


def _as_written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _of(lines: Lines, kind: str) -> Lines:
    return [line for line in lines if line["line"] == kind]


def _some_runs(lines: Lines, rng: Random) -> Lines:
    runs = _of(lines, "run")
    return rng.sample(runs, rng.randint(1, 3))


def _entries(line: Line) -> list[AuditEntry]:
    written = [WrittenEntry.model_validate(entry) for entry in line["entries"]]
    return [one for one in readable(written) if not isinstance(one, Finding)]


def _recompute_totals(lines: Lines) -> None:
    """Adapt the totals in the file to the entries."""
    opening = lines[0]
    counting = Counting(datetime.fromisoformat(opening["since"]), datetime.fromisoformat(opening["until"]))
    for line in _of(lines, "run"):
        counting.add(line["workflow_id"], _entries(line))
    for line in _of(lines, "totals"):
        line.update(counting.totals().model_dump(mode="json"))


def _rewrite_run(line: Line, rows: list[Line]) -> None:
    """Rewrite the trail of a run: numbered, linked, hashed and with a matching summary."""
    previous, entries = FIRST_HASH, []
    for number, row in enumerate(rows, start=1):
        entry = WrittenEntry.model_validate(
            {
                **row,
                "workflow_id": line["workflow_id"],
                "number": number,
                "previous_hash": previous,
                "hash": "",
            }
        )
        previous = entry.expected_hash()
        entries.append(entry.model_copy(update={"hash": previous}).model_dump(mode="json"))
    line["entries"] = entries
    with suppress(Exception):  # a summary that cannot be derived is not changed
        line["story"] = overview_of(line["workflow_id"], _entries(line)).model_dump(mode="json")


def _insert(lines: Lines, line: Line) -> None:
    """Insert a run at the position of its id."""
    position = next(
        (
            number
            for number, one in enumerate(lines)
            if one["line"] == "totals" or (one.get("workflow_id", "") > line["workflow_id"] != ""
            and one["line"] == "run")
        )
    )  # fmt: skip
    lines.insert(position, line)


# ---- removed --------------------------------------------------------------------------------------


def leave_out(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    for line in _some_runs(lines, rng):
        lines.remove(line)
    _recompute_totals(lines)
    return ("a run was left out or changed",)


def leave_out_with_its_leaves(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    for line in _some_runs(lines, rng):
        lines.remove(line)
        removed = {Seal(workflow_id=line["workflow_id"], number=entry["number"], hash=entry["hash"]).leaf()
                for entry in line["entries"]}  # fmt: skip
        for checkpoint in _of(lines, "checkpoint"):
            checkpoint["leaves"] = [leaf for leaf in checkpoint["leaves"] if leaf not in removed]
    _recompute_totals(lines)
    return ("does not seal the runs stored with it",)


def leave_out_and_reseal(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    leave_out_with_its_leaves(lines, rng, files)
    _reseal(lines)
    return ("signed by the untrusted key",)


def leave_out_a_checkpoint(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    lines.remove(rng.choice(_of(lines, "checkpoint")[:-1]))
    return ("which is missing", "does not link", "was left out", "an earlier one is missing")


def leave_out_own_trails(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del rng, files
    lines.remove(_of(lines, "own_trail")[0])
    return ("a run was left out or changed",)


def cut_a_run(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    """Make a run end earlier."""
    del files
    line = rng.choice(_of(lines, "run"))
    _rewrite_run(line, line["entries"][: rng.randrange(1, len(line["entries"]))])
    _recompute_totals(lines)
    return ("a run was left out or changed",)


def cut_the_file(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    del lines[rng.randrange(1, len(lines)) :]
    return ("its end was cut off",)


def cut_the_period(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    """Remove the newest checkpoints, and the runs that only they seal."""
    del files
    for checkpoint in _of(lines, "checkpoint")[-rng.randint(1, 2) :]:
        lines.remove(checkpoint)
        for line in _of(lines, "run"):
            ends = [Seal(workflow_id=line["workflow_id"], number=one["number"], hash=one["hash"]).leaf()
                    for one in line["entries"]]  # fmt: skip
            if any(leaf in checkpoint["leaves"] for leaf in ends):
                lines.remove(line)
    _recompute_totals(lines)
    return ("not sealed at its end",)


# ---- added ---------------------------------------------------------------------------------------


def add_of_another_time(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    ours = {line["workflow_id"] for line in _of(lines, "run")}
    others = [one for one in _of([*files.earlier, *files.later], "run") if one["workflow_id"] not in ours]
    _insert(lines, copy.deepcopy(rng.choice(others)))
    _recompute_totals(lines)
    return ("does not belong to this period",)


def add_twice(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    line = rng.choice(_of(lines, "run"))
    lines.insert(lines.index(line) + 1, copy.deepcopy(line))
    _recompute_totals(lines)
    return ("is repeated or too late",)


def add_of_another_installation(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    line = copy.deepcopy(rng.choice(_of(files.elsewhere, "run")))
    for ours in _of(lines, "run"):
        if ours["workflow_id"] == line["workflow_id"]:
            lines.remove(ours)
    _insert(lines, line)
    _recompute_totals(lines)
    return ("its plan was made for the installation",)


def add_an_invented_one(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    line = copy.deepcopy(rng.choice(_of(lines, "run")))
    old, line["workflow_id"] = line["workflow_id"], f"invented-{rng.randrange(99)}"
    rows = [{**row, "written": row["written"].replace(old, line["workflow_id"])} for row in line["entries"]]
    _rewrite_run(line, rows)
    _insert(lines, line)
    _recompute_totals(lines)
    return ("does not belong to this period",)


def add_a_text(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    position = rng.choice([number for number, line in enumerate(lines) if line["line"] == "run"])
    lines.insert(position, {"line": "text", "text": {"hash": "ab" * 32, "text": "[[person]]\n"}})
    return ("which does not use it",)


def add_a_checkpoint(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del rng
    last = _of(files.later, "checkpoint")[-1]
    lines.insert(lines.index(_of(lines, "checkpoint")[-1]) + 1, copy.deepcopy(last))
    return ("an earlier one closes the period",)


# ---- swapped --------------------------------------------------------------------------------------


def swap_trails(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    one, other = rng.sample(_of(lines, "run"), 2)
    for name in ("entries", "story"):
        one[name], other[name] = other[name], one[name]
    return ("belongs to the run",)


def swap_names(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    one, other = rng.sample(_of(lines, "run"), 2)
    one["workflow_id"], other["workflow_id"] = other["workflow_id"], one["workflow_id"]
    return ("belongs to the run",)


def swap_lines(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    kind = rng.choice(("run", "checkpoint"))
    one, other = (lines.index(line) for line in rng.sample(_of(lines, kind), 2))
    lines[one], lines[other] = lines[other], lines[one]
    return ("is repeated or too late", "which is missing")


def show_a_later_state(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    """Include a run in its state after the closing checkpoint."""
    del rng
    (later,) = [line for line in _of(files.later, "run") if line["workflow_id"] == "waiting"]
    for line in _of(lines, "run"):
        if line["workflow_id"] == "waiting":
            line.update(copy.deepcopy(later))
    _recompute_totals(lines)
    return ("is not sealed by the checkpoints of this file",)


def change_an_entry(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    line = rng.choice(_of(lines, "run"))
    rows = copy.deepcopy(line["entries"])
    row = rng.choice(rows)
    row["written"] = other_event(row["written"], rng)
    _rewrite_run(line, rows)
    return ()  # the value determines which of many findings is reported


def replace_person(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    """Replace the person in a decision."""
    del files
    line = rng.choice([one for one in _of(lines, "run") if len(one["entries"]) > 2])
    rows = [{**row, "actor": row["actor"].replace("dana", "erik"),
             "written": row["written"].replace('"dana"', '"erik"')} for row in line["entries"]]  # fmt: skip
    _rewrite_run(line, rows)
    return ("a run was left out or changed",)


# ---- dated -------------------------------------------------------------------------------------


def begin_at_another_time(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    hours = rng.choice((-rng.uniform(0.6, 20), rng.uniform(0.4, 1.9)))
    lines[0]["since"] = _as_written(SINCE + timedelta(hours=hours))
    _recompute_totals(lines)
    return ("the beginning of the period",)


def end_at_another_time(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    hours = rng.choice((-rng.uniform(0.4, 1.9), rng.uniform(0.4, 20)))
    lines[0]["until"] = _as_written(UNTIL + timedelta(hours=hours))
    _recompute_totals(lines)
    return ("an earlier one closes the period", "not sealed at its end")


def shift_entry_times(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    """Shift the times of a whole run, or of its end."""
    del files
    line = rng.choice(_of(lines, "run"))
    first, by = rng.randrange(len(line["entries"])), timedelta(minutes=rng.choice((-90, -1, 1, 90)))
    rows = copy.deepcopy(line["entries"])
    for row in rows[first:]:
        row["at"] = (datetime.fromisoformat(row["at"]) + by).isoformat()
    _rewrite_run(line, rows)
    _recompute_totals(lines)
    return ("a run was left out or changed",)


# ---- other checkpoints ----------------------------------------------------------------------------


def _reseal(lines: Lines) -> None:
    """Sign every checkpoint with another key, over the existing leaves."""
    previous: str | None = None
    for line in _of(lines, "checkpoint"):
        old = claims_of(Checkpoint(**line["checkpoint"]))
        leaves = line["leaves"]
        claims = CheckpointClaims(
            number=old.number, previous=previous or old.previous, iat=old.iat,
            runs=len(leaves) or old.runs, root=root_of(leaves) if leaves else old.root,
        )  # fmt: skip
        token = write_token(claims.model_dump(), EVE, TYPE)
        made = Checkpoint(number=old.number, token=token, public_key=public_of(EVE))
        line["checkpoint"], previous = made.model_dump(mode="json"), made.hash


def seal_by_another_key(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del rng, files
    _reseal(lines)
    return ("signed by the untrusted key",)


def use_checkpoints_of_others(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    ours, theirs = _of(lines, "checkpoint"), copy.deepcopy(_of(files.elsewhere, "checkpoint"))
    for number in rng.sample(range(len(ours)), rng.randint(1, len(ours))):
        lines[lines.index(ours[number])] = theirs[number]
    return ("signed by the untrusted key",)


def renumber_checkpoint(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    """Give one of the file's checkpoints another number."""
    del files
    line = rng.choice(_of(lines, "checkpoint"))
    line["checkpoint"]["number"] += rng.choice((1, 2, 50))
    return ("was written as checkpoint",)


def break_a_signature(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    checkpoint = rng.choice(_of(lines, "checkpoint"))["checkpoint"]
    checkpoint["token"] = other_text(checkpoint["token"], rng)
    return ("was changed",)


def state_another_start(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    """State a wrong number for the checkpoint before the period, and remove the right one."""
    del files
    lines[0]["before"] = rng.choice((0, 2, 3, 7))
    if rng.random() < 0.5:
        lines.remove(_of(lines, "checkpoint")[0])
    return ()


def claim_another_installation(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del rng
    lines[0]["installation"] = files.elsewhere[0]["installation"]
    return ("its plan was made for the installation",)


# ---- counts, texts and anything else ----------------------------------------------------------------


def change_a_count(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    totals = lines[-1]
    name = rng.choice([name for name in totals if name != "line"])
    if isinstance(totals[name], int):
        totals[name] += rng.choice((-1, 1, 7))
    else:
        key = rng.choice([*totals[name], "failed", "send_email"])
        totals[name] = {**totals[name], key: totals[name].get(key, 0) + rng.choice((1, 2))}
    return (f"the total '{name}' is stated as",)


def change_a_text(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    (line,) = _of(lines, "text")
    if rng.random() < 0.5:
        line["text"]["text"] += "\n# and more"
        return ("is missing or cannot be read",)
    lines.remove(line)
    return ("that is missing", "is missing or cannot be read")


def change_summary_section(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    del files
    summary = rng.choice(_of(lines, "run"))["story"]
    name = rng.choice(sorted(summary))
    is_removed = summary[name] is not None and rng.random() >= 0.7
    summary[name] = None if is_removed else {"request": "another"}.get(name, "other")
    return () if summary[name] is None else (f"the section '{name}' differs from the trail",)


def change_anything(lines: Lines, rng: Random, files: ForgerFiles) -> tuple[str, ...]:
    """Change one value anywhere, except the times of the period, which may be moved between checkpoints."""
    del files
    line = rng.choice(lines)
    changeable = {name: value for name, value in line.items() if name not in ("since", "until")}
    line.update(json.loads(other_event(json.dumps({**changeable, "kind": ""}), rng)))
    del line["kind"]
    return ()


Forge = Callable[[Lines, Random, ForgerFiles], tuple[str, ...]]
FORGERIES: dict[str, Forge] = {
    forge.__name__.replace("_", " "): forge
    for forge in (
        leave_out, leave_out_with_its_leaves, leave_out_and_reseal, leave_out_a_checkpoint,
        leave_out_own_trails, cut_a_run, cut_the_file, cut_the_period, add_of_another_time, add_twice,
        add_of_another_installation, add_an_invented_one, add_a_text, add_a_checkpoint, swap_trails,
        swap_names, swap_lines, show_a_later_state, change_an_entry, replace_person, begin_at_another_time,
        end_at_another_time, shift_entry_times, seal_by_another_key, use_checkpoints_of_others,
        renumber_checkpoint, break_a_signature, state_another_start, claim_another_installation,
        change_a_count, change_a_text, change_summary_section, change_anything,
    )
}  # fmt: skip
