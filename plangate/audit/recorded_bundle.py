"""Read the evidence of one run from the records."""

from plangate.audit.attachments import attachment_digests
from plangate.audit.evidence import Bundle, bundle_of
from plangate.audit.referenced_texts import referenced_texts
from plangate.records.attachments import contents_of
from plangate.records.checkpoints import newest_seal
from plangate.records.database import Database
from plangate.records.trail import read_trail


def bundle_on_record(database: Database, workflow_id: str) -> Bundle:
    """Return the evidence of a run, with its newest seal.

    Raises:
        RecordsMissing: there are no records.
        RecordsUnavailable: the database is unavailable.
        TrailDamaged: the trail of the run cannot be read.
    """
    with database.read() as connection:
        seal = newest_seal(connection, workflow_id)
        entries = read_trail(connection, workflow_id)
        texts = referenced_texts(connection, entries)
        files = contents_of(connection, attachment_digests(entries))
        return bundle_of(workflow_id, entries, (seal,) if seal else (), texts, files)
