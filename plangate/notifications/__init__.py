"""Tell people: who is needed, who is reminded, who need do nothing more, and what became of a request.

A notifier follows the trails from outside, as sealing does: no workflow knows of it. `due` derives from a
trail which notices it calls for; `plangate.records.notices` is the ledger of what was sent to whom; channels
send. May import everything below `plangate.presentation`, and that.
"""
