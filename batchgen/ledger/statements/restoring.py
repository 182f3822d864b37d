"""What an output folder tells, entered into books that do not have it: single attempts, images and tasks of one job."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from sqlalchemy import insert, text

from batchgen.domain.origin import Origin
from batchgen.ledger.statements.fragments import Columns
from batchgen.ledger.tables import RUNNING, attempt, image, prompt, task, variant

ORIGINAL = Columns(Origin, without={"job", "key", "path", "size", "sample", "own", "shared", "images"})
"""What an origin tells of its attempt as the books have it."""

# --- what the books know of some attempts, given by their numbers -----------------------------------------------------

SETTLED_ATTEMPTS = text(
    "SELECT id FROM attempt WHERE id IN (SELECT value FROM json_each(:numbers)) "
    "AND NOT EXISTS (SELECT 1 FROM task WHERE task.id = attempt.task_id AND task.attempt_id = attempt.id)"
)
KNOWN_ATTEMPTS = text("SELECT id FROM attempt WHERE id IN (SELECT value FROM json_each(:numbers))")
CHECKSUMS = text("SELECT id, sha256 FROM image WHERE id IN (SELECT value FROM json_each(:numbers))")
OUTPUTS = text("SELECT DISTINCT output FROM job")

# --- what is there ----------------------------------------------------------------------------------------------------

JOB = text("SELECT route, parameters FROM job WHERE id = :job")
TASK_OF = text(
    "SELECT t.id FROM task t JOIN prompt p ON p.id = t.prompt_id JOIN variant v ON v.id = t.variant_id "
    "WHERE t.job_id = :job AND p.job_id = :job AND p.key = :key AND v.width = :width AND v.height = :height "
    "AND v.sample = :sample"
)
PROMPT_OF = text("SELECT id FROM prompt WHERE job_id = :job AND key = :key")
VARIANT_OF = text(
    "SELECT id FROM variant WHERE job_id = :job AND width = :width AND height = :height AND sample = :sample"
)
SAME_ATTEMPT = text(
    "SELECT id, charge FROM attempt WHERE task_id = :task AND revision = :revision AND request_hash = :hash "
    "AND reserved_at = :at"
)
CHARGE_OF = text("SELECT charge FROM attempt WHERE id = :attempt")
CALLS_OF = text("SELECT count(*) FROM attempt WHERE task_id = :task AND revision = :revision")
IMAGE_OF = text("SELECT id, sha256 FROM image WHERE task_id = :task AND revision = :revision")
STANDING = text(f"SELECT CASE WHEN {RUNNING} THEN attempt_id END AS holder, last_revision FROM task WHERE id = :task")

# --- what is entered --------------------------------------------------------------------------------------------------

NEW_PROMPT = insert(prompt)
NEW_VARIANT = insert(variant)
NEW_TASK = insert(task)
NEW_ATTEMPT = insert(attempt)
NEW_IMAGE = insert(image)
COUNT_DELIVERED = text(
    "UPDATE run SET delivered = delivered + 1 WHERE id = (SELECT run_id FROM attempt WHERE id = :attempt)"
)
RECOUNT_CALLS = text(
    "UPDATE task SET updated_at = :now, "
    "calls = (SELECT count(*) FROM attempt a WHERE a.task_id = task.id AND a.revision = task.revision), "
    "last_revision = (SELECT coalesce(max(a.revision), 0) FROM attempt a WHERE a.task_id = task.id) WHERE id = :task"
)
MOVE_TASK = text(
    "UPDATE task SET work = :work, image_id = coalesce(:image, image_id), attempt_id = :attempt, "
    "revision = :revision, own = :own, shared = :shared, quality = :quality, images = :images, "
    "send_width = :send_width, send_height = :send_height, send_route = :send_route, attempts = 0, unknowns = 0, "
    "hollow = 0, scheduled_at = NULL, reason = '', updated_at = :now, "
    "calls = (SELECT count(*) FROM attempt a WHERE a.task_id = task.id AND a.revision = :revision), "
    "last_revision = (SELECT coalesce(max(a.revision), 0) FROM attempt a WHERE a.task_id = task.id) WHERE id = :key"
)
ADD_TO_JOB = text(
    "UPDATE job SET billed = billed + :billed, unknown = unknown + :unknown, reserved = reserved + :reserved, "
    "prompts = prompts + :prompts, tasks = tasks + :tasks, updated_at = :now WHERE id = :job"
)
ADD_TO_MONTH = text(
    "INSERT INTO month (name, billed, unknown, reserved) VALUES (:name, :billed, :unknown, :reserved) ON CONFLICT "
    "(name) DO UPDATE SET billed = billed + excluded.billed, unknown = unknown + excluded.unknown, "
    "reserved = reserved + excluded.reserved"
)
