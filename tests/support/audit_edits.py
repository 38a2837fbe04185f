"""Every change that an attacker could make to a trail in the database or in a bundle; each must be found.

The attacker has all of our code and full access to the database. They drop the triggers, recompute hashes and
adapt the rows of the other tables. They have no private key, so they can append entries that are sealed later
(docs/security-model.md), but cannot change anything that is sealed.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection, Integer, delete, insert, select, text, update

from plangate.domain.runs.audit import FIRST_HASH, RULES_TRAIL, WrittenEntry
from plangate.records.tables import (
    Moment,
    audit_entries,
    checkpoints,
    effects,
    installation,
    metadata,
    rule_texts,
    runs,
    seals,
    tokens,
)

Edit = Callable[[Connection, Random], str]
Row = dict[str, Any]


def disable_guards(connection: Connection) -> None:
    """Drop every trigger and every foreign-key check, as an administrator can."""
    if connection.dialect.name == "sqlite":
        names = connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all()
        for name in names:
            connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        return
    for table in metadata.tables.values():
        connection.execute(text(f"ALTER TABLE {table.name} DISABLE TRIGGER USER"))
        for key in table.foreign_key_constraints:
            connection.execute(text(f"ALTER TABLE {table.name} DROP CONSTRAINT IF EXISTS {key.name}"))


def trail_of(connection: Connection, run: str) -> list[Row]:
    statement = (
        select(audit_entries).where(audit_entries.c.workflow_id == run).order_by(audit_entries.c.number)
    )
    return [dict(row._asdict()) for row in connection.execute(statement)]


def all_ids(connection: Connection) -> list[str]:
    ids = select(runs.c.workflow_id).where(runs.c.workflow_id != RULES_TRAIL)
    return list(connection.scalars(ids.order_by(runs.c.workflow_id)))


def some_run(connection: Connection, rng: Random) -> tuple[str, list[Row]]:
    run = rng.choice(all_ids(connection))
    return run, trail_of(connection, run)


def change_entry(connection: Connection, row: Row, **changes: Any) -> None:
    """Change one stored entry."""
    connection.execute(
        update(audit_entries)
        .where(audit_entries.c.workflow_id == row["workflow_id"], audit_entries.c.number == row["number"])
        .values(changes)
    )


def rewrite_trail(connection: Connection, run: str, rows: list[Row]) -> None:
    """Store this as the whole trail of a run: numbered, linked and hashed like an original."""
    connection.execute(delete(audit_entries).where(audit_entries.c.workflow_id == run))
    previous = FIRST_HASH
    for number, row in enumerate(rows, start=1):
        entry = WrittenEntry(
            workflow_id=run, number=number, key=row["key"], at=row["at"], actor=row["actor"],
            written=row["event"], previous_hash=previous,
        )  # fmt: skip
        previous = entry.expected_hash()
        changed = {
            "workflow_id": run,
            "number": number,
            "previous_hash": entry.previous_hash,
            "hash": previous,
        }
        connection.execute(insert(audit_entries), {**row, **changed})
    connection.execute(
        update(runs).where(runs.c.workflow_id == run).values(entry_count=len(rows), head_hash=previous)
    )


def other_text(value: str, rng: Random) -> str:
    """Change one character."""
    position = rng.randrange(len(value))
    letters = "0123456789abcdefXYZ _-" if value[position] != "0" else "123456789"
    return (
        value[:position]
        + rng.choice([one for one in letters if one != value[position]])
        + value[position + 1 :]
    )


def other_event(event: str, rng: Random) -> str:
    """Change one value deep inside an event, so that it is still a valid event."""
    raw = json.loads(event)
    leaves = list(_leaves(raw))
    holder, name = rng.choice([leaf for leaf in leaves if leaf[1] != "kind"])
    value = holder[name]
    match value:
        case bool():
            holder[name] = not value
        case int() | float():
            holder[name] = value + 1
        case str() if value:
            holder[name] = other_text(value, rng)
        case _:
            holder[name] = "forged"
    return json.dumps(raw)


def _leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in pairs:
        if isinstance(item, dict | list):
            yield from _leaves(item)
        else:
            yield value, name


# ---- inconsistent -------------------------------------------------------------------------------


def flip(connection: Connection, rng: Random) -> str:
    """Change one character of one column of one entry."""
    _, rows = some_run(connection, rng)
    row = rng.choice(rows)
    column = rng.choice(("key", "actor", "kind", "event", "previous_hash", "hash"))
    change_entry(connection, row, **{column: other_text(row[column], rng)})
    return f"{column} of entry {row['number']}"


def flip_inside(connection: Connection, rng: Random) -> str:
    """Change a value inside an event."""
    _, rows = some_run(connection, rng)
    row = rng.choice(rows)
    change_entry(connection, row, event=other_event(row["event"], rng))
    return f"an event, entry {row['number']}"


def move_in_time(connection: Connection, rng: Random) -> str:
    _, rows = some_run(connection, rng)
    row = rng.choice(rows)
    change_entry(connection, row, at=row["at"] + timedelta(seconds=rng.choice((-60, 1, 3600))))
    return "a time"


def drop(connection: Connection, rng: Random) -> str:
    """Delete an entry, with or without a change of the run's row."""
    run, rows = some_run(connection, rng)
    row = rng.choice(rows)
    connection.execute(
        delete(audit_entries).where(
            audit_entries.c.workflow_id == run, audit_entries.c.number == row["number"]
        )
    )
    if rng.random() < 0.5:
        left = trail_of(connection, run)
        head = left[-1]["hash"] if left else FIRST_HASH
        connection.execute(
            update(runs).where(runs.c.workflow_id == run).values(entry_count=len(left), head_hash=head)
        )
    return f"entry {row['number']} of {len(rows)} deleted"


def swap(connection: Connection, rng: Random) -> str:
    """Swap two entries."""
    run, rows = some_run(connection, rng)
    one, other = rng.sample(rows, 2)
    for row, number in ((one, -1), (other, one["number"]), ({**one, "number": -1}, other["number"])):
        change_entry(connection, {**row, "workflow_id": run}, number=number)
    return f"entries {one['number']} and {other['number']} swapped"


def copy_entry(connection: Connection, rng: Random) -> str:
    """Copy an entry to the end of its own run or another run."""
    _, rows = some_run(connection, rng)
    to, others = some_run(connection, rng)
    row = {**rng.choice(rows), "workflow_id": to, "number": len(others) + 1}
    row["key"] = f"{row['key']}:copy"
    connection.execute(insert(audit_entries), row)
    return "an entry copied to an end"


def move_entry(connection: Connection, rng: Random) -> str:
    """Move an entry to another run."""
    ids = all_ids(connection)
    one, to = rng.sample(ids, 2)
    row = trail_of(connection, one)[-1]
    change_entry(
        connection, row, workflow_id=to, number=len(trail_of(connection, to)) + 1, key=f"{row['key']}:moved"
    )
    return "an entry moved to another run"


# ---- consistent except for the seals ----------------------------------------------------------------


def rehash(connection: Connection, rng: Random) -> str:
    """Change an event and recompute all later hashes."""
    run, rows = some_run(connection, rng)
    row = rng.choice(rows)
    row["event"] = other_event(row["event"], rng)
    rewrite_trail(connection, run, rows)
    return f"entry {row['number']} of {len(rows)} and its tail rehashed"


def rehash_actor(connection: Connection, rng: Random) -> str:
    run, rows = some_run(connection, rng)
    rng.choice(rows)["actor"] = "another person"
    rewrite_trail(connection, run, rows)
    return "an actor, and the tail rehashed"


def remove_entry(connection: Connection, rng: Random) -> str:
    """Remove an entry and close the gap."""
    run, rows = some_run(connection, rng)
    del rows[rng.randrange(len(rows))]
    rewrite_trail(connection, run, rows)
    return "an entry removed, the gap closed"


def swap_neighbours_and_rehash(connection: Connection, rng: Random) -> str:
    run, rows = some_run(connection, rng)
    position = rng.randrange(len(rows) - 1)
    rows[position], rows[position + 1] = rows[position + 1], rows[position]
    rewrite_trail(connection, run, rows)
    return "two adjacent entries swapped, rehashed"


def forge_approval(connection: Connection, rng: Random) -> str:
    """Insert an approval by another person, modelled on an existing one or on any entry."""
    run, rows = some_run(connection, rng)
    models = [row for row in rows if row["kind"] == "decided"] or rows
    forged = copy.deepcopy(rng.choice(models))
    forged["event"] = forged["event"].replace("dana", "mallory").replace("Dana", "Mallory")
    forged["key"], forged["actor"] = "forged", "mallory"
    rows.insert(rng.randrange(1, len(rows)), forged)
    rewrite_trail(connection, run, rows)
    return "a forged approval, rehashed"


def cut_tail(connection: Connection, rng: Random) -> str:
    """Make a run end earlier, and adapt its seals and the ledger."""
    run, rows = some_run(connection, rng)
    keep = rng.randrange(1, len(rows))
    rewrite_trail(connection, run, rows[:keep])
    if rng.random() < 0.5:
        connection.execute(delete(seals).where(seals.c.workflow_id == run, seals.c.number > keep))
    return "a tail cut off"


def delete_run(connection: Connection, rng: Random) -> str:
    """Delete a whole run, with or without all references to it."""
    run, _ = some_run(connection, rng)
    tables = [effects, tokens, audit_entries]
    if rng.random() < 0.5:
        tables.append(seals)
    for table in (*tables, runs):
        connection.execute(delete(table).where(table.c.workflow_id == run))
    return "a whole run deleted"


# ---- other tables -------------------------------------------------------------------------------


def change_ledger(connection: Connection, rng: Random) -> str:
    keys = list(connection.scalars(select(effects.c.idempotency_key).order_by(effects.c.idempotency_key)))
    key = rng.choice(keys)
    change: Mapping[str, Any] = rng.choice(
        (
            {"state": "released"},
            {"attempts": 7},
            {"receipt": '{"summary":"paid"}'},
            {"step": 9},
            {"state": "??"},
        )
    )
    connection.execute(update(effects).where(effects.c.idempotency_key == key).values(**change))
    return f"the ledger: {change}"


def drop_effect(connection: Connection, rng: Random) -> str:
    keys = list(connection.scalars(select(effects.c.idempotency_key).order_by(effects.c.idempotency_key)))
    connection.execute(delete(effects).where(effects.c.idempotency_key == rng.choice(keys)))
    return "an effect deleted"


def change_row(connection: Connection, rng: Random) -> str:
    run, rows = some_run(connection, rng)
    change: Mapping[str, Any] = rng.choice(
        (
            {"entry_count": len(rows) + 1},
            {"head_hash": "0" * 64},
            {"requester": "mallory"},
            {"sealed_count": len(rows) + 1},
            {"closed_at": datetime(2020, 1, 1, tzinfo=UTC)},
            {"opened_at": datetime(2020, 1, 1, tzinfo=UTC)},
        )
    )
    connection.execute(update(runs).where(runs.c.workflow_id == run).values(**change))
    return f"the run's row: {list(change)}"


def drop_token(connection: Connection, rng: Random) -> str:
    """Allow a signed decision to be accepted again."""
    found = list(connection.scalars(select(tokens.c.token_id).order_by(tokens.c.token_id)))
    connection.execute(delete(tokens).where(tokens.c.token_id == rng.choice(found)))
    return "a used token deleted"


def change_seal(connection: Connection, rng: Random) -> str:
    rows = connection.execute(select(seals).order_by(seals.c.workflow_id, seals.c.number)).all()
    row = rng.choice(rows)
    here = (seals.c.workflow_id == row.workflow_id, seals.c.number == row.number)
    if rng.random() < 0.3:
        connection.execute(delete(seals).where(*here))
    else:
        connection.execute(update(seals).where(*here).values(hash=other_text(row.hash, rng)))
    return "a seal"


def change_checkpoint(connection: Connection, rng: Random) -> str:
    rows = connection.execute(select(checkpoints).order_by(checkpoints.c.number)).all()
    row = rng.choice(rows)
    here = checkpoints.c.number == row.number
    match rng.randrange(4):
        case 0:
            connection.execute(delete(checkpoints).where(here))
        case 1:
            connection.execute(update(checkpoints).where(here).values(token=other_text(row.token, rng)))
        case 2:
            connection.execute(update(checkpoints).where(here).values(public_key="A" * 43))
        case _:
            connection.execute(update(checkpoints).where(here).values(number=len(rows) + 5))
    return "a checkpoint"


def restore_backup(connection: Connection, rng: Random) -> str:
    """Restore everything to its state before the last checkpoint, as from a backup."""
    del rng
    last = max(connection.scalars(select(checkpoints.c.number)))
    sealed = connection.execute(select(seals).where(seals.c.checkpoint == last)).all()
    connection.execute(delete(seals).where(seals.c.checkpoint == last))
    connection.execute(delete(checkpoints).where(checkpoints.c.number == last))
    for run in {row.workflow_id for row in sealed}:
        left = max([*connection.scalars(select(seals.c.number).where(seals.c.workflow_id == run)), 0])
        connection.execute(delete(effects).where(effects.c.workflow_id == run))
        connection.execute(delete(tokens).where(tokens.c.workflow_id == run))
        if not left:
            connection.execute(delete(audit_entries).where(audit_entries.c.workflow_id == run))
            connection.execute(delete(runs).where(runs.c.workflow_id == run))
            continue
        rewrite_trail(connection, run, trail_of(connection, run)[:left])
        connection.execute(update(runs).where(runs.c.workflow_id == run).values(sealed_count=left))
    return "everything restored to the checkpoint before the last one"


def put_garbage(connection: Connection, rng: Random) -> str:
    """Put an invalid value into any column; PostgreSQL accepts only values of the column's type."""
    table = rng.choice((audit_entries, runs, effects, tokens, checkpoints, seals))
    column = rng.choice([one for one in table.c if one.name not in ("holder", "receipt")])
    row = rng.choice(connection.execute(select(*table.primary_key.columns)).all())
    if connection.dialect.name == "sqlite":
        garbage: object = rng.choice(("x", -1, 2**53 + 1, 0.5, b"\xff\xfe", ""))
        if column is checkpoints.c.number:  # the only column whose type SQLite enforces
            garbage = 10**12
        here = " AND ".join(f"{key.name} = ?" for key in table.primary_key.columns)
        connection.exec_driver_sql(f"UPDATE {table.name} SET {column.name} = ? WHERE {here}", (garbage, *row))
    else:
        garbage = 10**9 if isinstance(column.type, Integer) else "\u202e"
        if isinstance(column.type, Moment):
            garbage = datetime(1970, 1, 1, tzinfo=UTC)
        keys = [key == value for key, value in zip(table.primary_key.columns, row, strict=True)]
        connection.execute(update(table).where(*keys).values({column.name: garbage}))
    return f"{garbage!r} in {table.name}.{column.name}"


def release_claim_in_doubt(connection: Connection, rng: Random) -> str:
    """Record the claim of an effect with an unknown result as released, so that it happens again."""
    keys = list(connection.scalars(select(effects.c.idempotency_key).order_by(effects.c.idempotency_key)))
    key = rng.choice(keys)
    connection.execute(update(effects).where(effects.c.idempotency_key == key).values(state="released"))
    return "an effect marked as released"


def add_used_token(connection: Connection, rng: Random) -> str:
    """Record a person's signature as used."""
    run, rows = some_run(connection, rng)
    key = rng.choice(rows)["key"]
    connection.execute(insert(tokens), {"token_id": "K:forged-id", "workflow_id": run, "arrival_key": key})
    return "a token inserted"


def new_owner(connection: Connection, rng: Random) -> str:
    run, _ = some_run(connection, rng)
    connection.execute(update(runs).where(runs.c.workflow_id == run).values(chain_id="another"))
    return "another owner of a run"


def add_used_id(connection: Connection, rng: Random) -> str:
    """Record an unused id as used."""
    run, _ = some_run(connection, rng)
    row = dict(connection.execute(select(runs).where(runs.c.workflow_id == run)).one()._asdict())
    empty = {"workflow_id": "unused", "entry_count": 0, "sealed_count": 0, "head_hash": FIRST_HASH}
    connection.execute(insert(runs), {**row, **empty})
    return "a run without a trail"


def change_text(connection: Connection, rng: Random) -> str:
    """Change or remove a policy or list of people that was used for plans and decisions."""
    rows = connection.execute(select(rule_texts)).all()
    row = rng.choice(rows)
    here = rule_texts.c.hash == row.hash
    match rng.randrange(3):
        case 0:
            connection.execute(delete(rule_texts).where(here))
        case 1:
            text = _forged(row.text) if rng.random() < 0.5 else row.text + "\n"
            connection.execute(update(rule_texts).where(here).values(text=text))
        case _:
            connection.execute(update(rule_texts).where(here).values(hash="ab" * 32))
    return "a policy or list of people changed"


def _forged(text: str) -> str:
    """Change a name in a list of people, or a rule in a policy."""
    return text.replace("dana", "eve") if "dana" in text else text.replace("signed", "typed")


def change_rules_trail(connection: Connection, rng: Random) -> str:
    """Record that another list of people, or none, was in effect."""
    rows = trail_of(connection, RULES_TRAIL)
    row = rng.choice(rows)
    match rng.randrange(3):
        case 0:
            rows.remove(row)
        case 1:
            row["event"] = row["event"].replace(json.loads(row["event"])["hash"], "ab" * 32)
        case _:
            row["actor"] = "another worker"
    rewrite_trail(connection, RULES_TRAIL, rows)
    return "the trail of rules, rehashed"


def backdate_list(connection: Connection, rng: Random) -> str:
    """Record a forged list as in effect in the past, without changing sealed entries."""
    rows = trail_of(connection, RULES_TRAIL)
    forged = f'[[person]]\nname = "mallory{rng.randrange(1000)}"\n'
    digest = hashlib.sha256(forged.encode()).hexdigest()
    connection.execute(insert(rule_texts), {"hash": digest, "text": forged})
    numbers = [int(row["key"].split(":")[1]) for row in rows if row["key"].startswith("people:")]
    event = json.dumps({"kind": "rules_in_force", "what": "people", "hash": digest}, separators=(",", ":"))
    back = timedelta(days=rng.randint(1, 60))
    row = {**rows[-1], "key": f"people:{max(numbers) + 1}", "event": event, "at": rows[-1]["at"] - back}
    rewrite_trail(connection, RULES_TRAIL, [*rows, row])
    return "a backdated list of people"


def leave_out_lists(connection: Connection, rng: Random) -> str:
    """Remove the list of people from the steps, or all entries, of a run; half of the time also its seals."""
    run, rows = some_run(connection, rng)
    named = [row for row in rows if '"people":"' in row["event"] and '"people":""' not in row["event"]]
    kinds = rng.choice((("claimed",), ("claimed", "decided")))
    left_out = [row for row in named if row["kind"] in kinds]
    for row in left_out or rows[-1:]:
        event = json.loads(row["event"])
        row["event"] = json.dumps({**event, "people": ""}, separators=(",", ":"))
    rewrite_trail(connection, run, rows)
    if rng.random() < 0.5:
        connection.execute(delete(seals).where(seals.c.workflow_id == run))
        connection.execute(update(runs).where(runs.c.workflow_id == run).values(sealed_count=0))
    return "the lists of people left out, rehashed"


def change_installation(connection: Connection, rng: Random) -> str:
    """Change the records to those of another installation."""
    connection.execute(update(installation).values(id=f"{rng.getrandbits(128):032x}"))
    return "another installation"


EDITS: tuple[Edit, ...] = (
    flip, flip, flip_inside, flip_inside, move_in_time, drop, drop, swap, copy_entry, move_entry,
    rehash, rehash, rehash, rehash_actor, remove_entry, swap_neighbours_and_rehash, forge_approval,
    cut_tail, delete_run,
    change_ledger, drop_effect, change_row, drop_token, change_seal, change_checkpoint, restore_backup,
    put_garbage, put_garbage, put_garbage, change_text, change_rules_trail,
    backdate_list, leave_out_lists,
    change_installation, release_claim_in_doubt, add_used_token, new_owner, add_used_id,
)  # fmt: skip


# ---- bundles ------------------------------------------------------------------------------------


def edit_bundle(  # noqa: PLR0912, PLR0915  one branch for each way
    bundle: dict[str, Any], rng: Random
) -> str:
    """Change a bundle in place, in one of many ways."""
    entries = bundle["entries"]
    match rng.randrange(14):
        case 0:  # any value, anywhere
            leaves = list(_leaves(bundle))
            holder, name = rng.choice([leaf for leaf in leaves if leaf[1] not in ("format", "kind")])
            value = holder[name]
            holder[name] = other_text(value, rng) if isinstance(value, str) and value else "forged"
            return f"the value {name}"
        case 1:
            del entries[rng.randrange(len(entries))]
            return "an entry deleted"
        case 2:
            one, other = rng.sample(range(len(entries)), 2)
            entries[one], entries[other] = entries[other], entries[one]
            return "two entries swapped"
        case 3:
            entries.insert(rng.randrange(len(entries) + 1), copy.deepcopy(rng.choice(entries)))
            return "an entry inserted twice"
        case 4 | 5:  # an event, with all hashes recomputed
            entry = rng.choice(entries)
            entry["written"] = other_event(entry["written"], rng)
            _rehash(bundle)
            return f"entry {entry['number']} and its tail rehashed"
        case 6:  # the last entries removed, with the checkpoints that seal them
            keep = rng.randrange(1, len(entries))
            del entries[keep:]
            bundle["checkpoints"] = [one for one in bundle["checkpoints"] if one["entry"] <= keep]
            return "a tail cut off, with its checkpoints"
        case 7:
            bundle["checkpoints"] = bundle["checkpoints"][:-1]
            return "the newest checkpoint left out"
        case 8:  # a value or a whole section removed, although the trail has it
            holder, name = rng.choice([leaf for leaf in _leaves(bundle) if isinstance(leaf[0], dict)])
            if rng.random() < 0.3:
                holder, name = bundle["story"], rng.choice(list(bundle["story"]))
            del holder[name]
            return f"{name} left out"
        case 9:  # more than the trail has
            holders = [bundle, bundle["story"], *(leaf[0] for leaf in _leaves(bundle))]
            holder = rng.choice([one for one in holders if isinstance(one, dict)])
            holder["cc"] = rng.choice([[], "", None, "eve@example.org"])
            return "a field inserted"
        case 10:
            texts = bundle["texts"]
            if texts and rng.random() < 0.7:
                text = rng.choice(texts)
                match rng.randrange(4):
                    case 0:
                        texts.remove(text)
                    case 1:  # only the entries that refer to a text show its kind
                        text["what"] = "policy"
                    case 2:
                        text["text"] = _forged(text["text"])
                    case _:
                        text["hash"] = "ab" * 32
            else:
                digest = hashlib.sha256(b"name = 'eve'").hexdigest()
                texts.append({"hash": digest, "text": "name = 'eve'"})
            return "the policies and lists of people"
        case 11:  # the list of people removed, with all hashes recomputed
            for entry in entries:
                event = json.loads(entry["written"])
                if "people" in event:
                    entry["written"] = json.dumps({**event, "people": ""}, separators=(",", ":"))
            del bundle["texts"][:]
            _rehash(bundle)
            return "the lists of people left out, rehashed"
        case 12:
            summary = bundle["story"]
            name = rng.choice([name for name in summary if summary[name]])
            summary[name] = [] if isinstance(summary[name], list) else "forged"
            return f"the section {name}"
        case _:
            sealed = rng.choice(bundle["checkpoints"])
            sealed["leaves"] = sealed["leaves"][1:] or ["0" * 64]
            return "a leaf of a checkpoint"


def _rehash(bundle: dict[str, Any]) -> None:
    previous = FIRST_HASH
    for raw in bundle["entries"]:
        raw["previous_hash"] = previous
        entry = WrittenEntry.model_validate(raw)
        raw["hash"] = previous = entry.expected_hash()
