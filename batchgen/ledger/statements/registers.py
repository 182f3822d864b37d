"""The rows that are written once in a while: of the ledger itself, its jobs, its runs and its batches."""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import bindparam, insert, select, text, update

from batchgen.domain.inputs import InputFile
from batchgen.domain.learned import Learned
from batchgen.ledger.statements.fragments import bound, labelled
from batchgen.ledger.tables import OPEN_BATCH, attempt, batch, input_file, job, ledger, outage, quota, run, variant

# --- the ledger -------------------------------------------------------------------------------------------------------

NAME_LEDGER = text(
    "INSERT INTO ledger (id, name) SELECT 1, lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT 1 FROM ledger)"
)
LEDGER_NAME = select(ledger.c.name)
SET_CEILING = update(ledger).values(monthly=bindparam("monthly"))

# --- quotas -----------------------------------------------------------------------------------------------------------

QUOTAS = select(*(quota.c[each.name] for each in fields(Learned))).order_by(quota.c.id)
KEEP_QUOTA = text(
    "INSERT INTO quota (host, key_fingerprint, model, kind, calls, pace, burst, proven, learned_at) "
    "VALUES (:host, :key_fingerprint, :model, :kind, :calls, :pace, :burst, :proven, :learned_at) "
    "ON CONFLICT (host, key_fingerprint, model) DO UPDATE SET kind = excluded.kind, calls = excluded.calls, "
    "pace = excluded.pace, burst = excluded.burst, proven = excluded.proven, learned_at = excluded.learned_at"
)
FORGET_QUOTA = text("DELETE FROM quota WHERE host = :host AND key_fingerprint = :key_fingerprint AND model = :model")
FORGET_OLD_QUOTAS = text("DELETE FROM quota WHERE learned_at < :before")

# --- jobs -------------------------------------------------------------------------------------------------------------

JOBS = select(job).order_by(job.c.id)
JOB_BY_NAME = select(job).where(job.c.name == bindparam("name"))
JOB_NUMBER = select(job.c.id).where(job.c.name == bindparam("name"))
JOB_NAMES = select(job.c.name).order_by(job.c.id)
JOB_PARAMETERS = select(job.c.parameters).where(job.c.id == bindparam("job"))
NEW_JOB = insert(job).returning(job.c.id)
CHANGE_JOB = update(job).where(job.c.name == bindparam("known_as")).returning(job.c.id)
# The next run compares the manifest with the books again, whatever was recorded.
COMPARE_AGAIN = text("UPDATE job SET source_hash = '' WHERE id = :job")
JOB_VARIANTS = select(variant.c.id, variant.c.width, variant.c.height, variant.c.sample).where(
    variant.c.job_id == bindparam("job")
)
# The local references and masks of a job as they were last looked at.
INPUT_FILES = (
    select(*(input_file.c[each.name] for each in fields(InputFile)))
    .where(input_file.c.job_id == bindparam("job"))
    .order_by(input_file.c.id)
)

# --- runs -------------------------------------------------------------------------------------------------------------

BEGIN_RUN = insert(run).returning(run.c.id)
END_RUN = (
    update(run)
    .where(run.c.id == bindparam("key"), run.c.ended_at.is_(None))
    .values(bound(("ended_at", "reason", "exit_code")))
)

# --- outages ----------------------------------------------------------------------------------------------------------

BEGIN_OUTAGE = insert(outage)
END_OUTAGE = text(
    "UPDATE outage SET ended_at = :now, back = :back "
    "WHERE run_id = :run AND route = :route AND tier = :tier AND ended_at IS NULL"
)

# --- batches ----------------------------------------------------------------------------------------------------------

NEW_BATCH = insert(batch).returning(batch.c.id)
BIND_ATTEMPTS = text("UPDATE attempt SET batch_id = :batch WHERE id IN (SELECT value FROM json_each(:attempts))")
MOVE_BATCH = (
    update(batch)
    .where(batch.c.id == bindparam("key"))
    .values(bound(("state", "remote", "status", "output_file", "error_file", "detail", "updated_at")))
)
_KEY_OF_BATCH = select(attempt.c.key_fingerprint).where(attempt.c.batch_id == batch.c.id).limit(1).scalar_subquery()
OPEN_BATCHES = (
    select(*labelled(batch), _KEY_OF_BATCH.label("key_fingerprint"))
    .where(batch.c.job_id == bindparam("job"), text(OPEN_BATCH))
    .order_by(batch.c.id)
)
