"""A manifest's plan: staged in temporary tables, compared with the books, and written into them.

What the temporary tables hold is told in `batchgen.ledger.staging`.
"""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, text
from sqlalchemy.dialects import sqlite

from batchgen.domain.job import Prompt
from batchgen.domain.lifecycle import TRANSITIONS, WAITING, TaskEvent, TaskState
from batchgen.ledger.statements.fragments import Columns, quoted
from batchgen.ledger.tables import RUNNING, input_file, variant

# --- staging ----------------------------------------------------------------------------------------------------------

TEMPORARY_TABLES = {
    "staged": "position INTEGER PRIMARY KEY, key TEXT, text TEXT, path TEXT, overrides TEXT, quality TEXT, "
    "own INTEGER, shared INTEGER, variant_set INTEGER, inputs TEXT, images INTEGER, prompt_id INTEGER",
    "member": "variant_set INTEGER, number INTEGER, variant_id INTEGER, PRIMARY KEY (variant_set, number), "
    "UNIQUE (variant_set, variant_id)",
    "plan": "prompt_id INTEGER PRIMARY KEY, position INTEGER, own INTEGER, shared INTEGER, quality TEXT, "
    "images INTEGER, variant_set INTEGER, bytes INTEGER",
    "adoptable": "task_id INTEGER PRIMARY KEY, image_id INTEGER, revision INTEGER, shared INTEGER",
}
CREATE_TEMPORARY = {name: f"CREATE TEMP TABLE {name} ({columns})" for name, columns in TEMPORARY_TABLES.items()}
DROP_TEMPORARY = {name: f"DROP TABLE IF EXISTS temp.{name}" for name in TEMPORARY_TABLES}

PROMPT = Columns(Prompt, without={"inputs"})
"""What a staged prompt has as the plan has it."""

# For the driver itself and in the order of the columns: names for each of a million rows would take a third longer.
STAGED = (*PROMPT.names, "quality", "inputs", "images")
STAGE_PROMPT = f"INSERT INTO staged ({', '.join(STAGED)}) VALUES ({', '.join('?' * len(STAGED))})"
STAGE_MEMBER = "INSERT INTO member (variant_set, number, variant_id) VALUES (:variant_set, :number, :variant_id)"
FIND_KNOWN_PROMPTS = text(
    "UPDATE staged SET prompt_id = (SELECT p.id FROM prompt p WHERE p.job_id = :job AND p.key = staged.key)"
)
NUMBER_PROMPTS = text(
    "INSERT INTO plan (prompt_id, position, own, shared, quality, images, variant_set, bytes) "
    "SELECT coalesce(prompt_id, :first + position), position, own, shared, quality, images, variant_set, "
    "length(CAST(text AS BLOB)) FROM staged ORDER BY position"
)
STAGED_KEY = text("SELECT 1 FROM staged WHERE key = :key")
RECORDED_KEY = text("SELECT 1 FROM prompt WHERE job_id = :job AND key = :key AND wanted = 1")

# --- adoption: images that were bought before for what is asked again -------------------------------------------------

FIND_ADOPTABLE = text(
    # What a prompt alone asks must be equal. Where only a job-wide setting has changed, an image that was bought with
    # the very settings is sought; else the one at hand is kept, as for every delivered image. A task without any has
    # lost its file; when that is put back, the image serves again.
    "SELECT t.id AS task, t.image_id AS present, i.id AS image, i.revision, i.shared, i.path, i.bytes, i.sha256 "
    "FROM task t JOIN plan p ON p.prompt_id = t.prompt_id "
    "JOIN member m ON m.variant_set = p.variant_set AND m.variant_id = t.variant_id "
    "JOIN image i ON i.task_id = t.id AND i.own = p.own "
    f"WHERE t.job_id = :job AND NOT t.{RUNNING} AND (t.image_id IS NULL OR t.own <> p.own "
    "OR (t.shared <> p.shared AND i.shared = p.shared)) "
    "ORDER BY t.id, i.shared = p.shared DESC, i.id IS t.image_id DESC, i.revision DESC"
)
NOTE_ADOPTABLE = text(
    "INSERT INTO adoptable (task_id, image_id, revision, shared) VALUES (:task, :image, :revision, :shared)"
)
ADOPT = text(
    f"UPDATE task SET work = '{TRANSITIONS[TaskEvent.ADOPT][1]}', wanted = 1, image_id = a.image_id, "
    "revision = a.revision, own = p.own, shared = a.shared, quality = p.quality, images = p.images, send_width = NULL, "
    "send_height = NULL, "
    "send_route = '', attempts = 0, unknowns = 0, hollow = 0, scheduled_at = NULL, reason = '', "
    "updated_at = :now, calls = (SELECT count(*) FROM attempt c WHERE c.task_id = task.id AND c.revision = a.revision) "
    "FROM adoptable a, plan p WHERE a.task_id = task.id AND p.prompt_id = task.prompt_id "
    f"AND task.work IN ({quoted(TRANSITIONS[TaskEvent.ADOPT][0])})"
)

# --- comparison -------------------------------------------------------------------------------------------------------

LEFT_TO_BUY = WAITING - {TaskState.RUNNING}
"""States of tasks that a run would call."""

_LEFT = quoted(LEFT_TO_BUY)
# Every task of the job, with its prompt and variant in the plan; `m.number` is NULL where the plan has it no more.
_JOINED = (
    "FROM task t LEFT JOIN plan p ON p.prompt_id = t.prompt_id "
    "LEFT JOIN member m ON m.variant_set = p.variant_set AND m.variant_id = t.variant_id "
    "LEFT JOIN adoptable a ON a.task_id = t.id"
)
_COMPARED = f"{_JOINED} WHERE t.job_id = :job"
CENSUS = text(
    "SELECT CASE WHEN m.number IS NULL THEN 'gone' WHEN a.task_id IS NOT NULL THEN 'adopted' "
    "WHEN t.own <> p.own THEN 'changed' ELSE 'same' END AS change, coalesce(a.shared, t.shared) <> p.shared AS other, "
    "t.work, t.image_id IS NOT NULL AS has, t.wanted, t.variant_id, p.quality, p.images, count(*) AS tasks, "
    f"coalesce(sum(p.bytes), 0) AS length, coalesce(max(p.bytes), 0) AS longest {_COMPARED} "
    "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"
)
PAID = text(
    f"SELECT coalesce(sum(c.billed), 0) {_JOINED} JOIN attempt c ON c.id = t.image_id WHERE t.job_id = :job "
    "AND m.number IS NOT NULL AND ((a.task_id IS NULL AND (t.own <> p.own "
    f"OR t.work IN ({_LEFT}))) OR (:rebuy AND coalesce(a.shared, t.shared) <> p.shared))"
)
MEMBERS = text("SELECT variant_set, number, variant_id FROM member ORDER BY variant_set, number")
PLANNED = text(
    "SELECT variant_set, quality, images, count(*) AS prompts, sum(bytes) AS length, max(bytes) AS longest "
    "FROM plan GROUP BY 1, 2, 3"
)
GONE_PROMPTS = text(
    "SELECT count(*) FROM prompt WHERE job_id = :job AND wanted = 1 AND id NOT IN (SELECT prompt_id FROM plan)"
)
# In the order of the plan, and of the ledger: each stops as soon as it has enough.
EXAMPLES = {
    "new": text(
        "SELECT s.key FROM staged s WHERE EXISTS (SELECT 1 FROM member m WHERE m.variant_set = s.variant_set "
        "AND NOT EXISTS (SELECT 1 FROM task t WHERE t.job_id = :job AND t.prompt_id = s.prompt_id "
        "AND t.variant_id = m.variant_id)) "
        "ORDER BY s.position LIMIT :most"
    )
} | {
    change: text(
        f"SELECT q.key FROM prompt q NOT INDEXED WHERE q.job_id = :job AND EXISTS (SELECT 1 {_COMPARED} "
        f"AND t.prompt_id = q.id AND {condition}) ORDER BY q.id LIMIT :most"
    )
    for change, condition in {
        "changed": "m.number IS NOT NULL AND a.task_id IS NULL AND t.own <> p.own",
        "adopted": "m.number IS NOT NULL AND a.task_id IS NOT NULL",
        "removed": "m.number IS NULL AND t.wanted = 1",
        "rebuy": "m.number IS NOT NULL AND coalesce(a.shared, t.shared) <> p.shared "
        "AND (a.task_id IS NOT NULL OR (t.own = p.own AND t.work = 'completed'))",
    }.items()
}
CENSUS_AS_RECORDED = text(
    "SELECT state = 'completed' AS has, work, variant_id, quality, images, count(*) AS tasks "
    "FROM task INDEXED BY ix_task_counts WHERE job_id = :job AND wanted = 1 GROUP BY 1, 2, 3, 4, 5"
)
PAID_AS_RECORDED = text(
    "SELECT coalesce(sum(c.billed), 0) FROM task t INDEXED BY ix_task_counts JOIN attempt c ON c.id = t.image_id "
    f"WHERE t.job_id = :job AND t.wanted = 1 AND t.state = 'completed' AND t.work IN ({_LEFT})"
)
# Only of what is left to buy: the texts of all the others need not be read.
TEXTS_LEFT = text(
    "SELECT t.variant_id, t.quality, t.images, sum(length(CAST(q.text AS BLOB))) AS length, "
    "max(length(CAST(q.text AS BLOB))) AS longest FROM task t JOIN prompt q ON q.id = t.prompt_id "
    f"WHERE t.job_id = :job AND t.wanted = 1 AND t.work IN ({_LEFT}) "
    "GROUP BY 1, 2, 3"
)
RUNNING_AS_PLANNED = text(
    "SELECT count(*) FROM task JOIN plan p JOIN member m ON m.variant_set = p.variant_set WHERE task.job_id = :job "
    f"AND {RUNNING} AND task.prompt_id = p.prompt_id AND task.variant_id = m.variant_id AND task.own = p.own "
    "AND task.shared = p.shared"
)

# --- writing ----------------------------------------------------------------------------------------------------------

NEW_VARIANTS = sqlite.insert(variant).on_conflict_do_nothing(index_elements=["job_id", "width", "height", "sample"])
NEW_PROMPTS = text(
    "INSERT INTO prompt (id, job_id, position, key, text, path, overrides, inputs, wanted) "
    "SELECT :first + position, :job, position, key, text, path, overrides, inputs, 1 FROM staged "
    "WHERE prompt_id IS NULL ORDER BY position"
)
CHANGE_PROMPTS = text(
    "UPDATE prompt SET position = s.position, text = s.text, path = s.path, overrides = s.overrides, "
    "inputs = s.inputs, wanted = 1 FROM staged s WHERE prompt.id = s.prompt_id AND (prompt.position, prompt.text, "
    "prompt.path, prompt.overrides, prompt.inputs, prompt.wanted) "
    "IS NOT (s.position, s.text, s.path, s.overrides, s.inputs, 1)"
)
DROP_PROMPTS = text(
    "UPDATE prompt SET wanted = 0 WHERE job_id = :job AND wanted = 1 AND id NOT IN (SELECT prompt_id FROM plan)"
)
FORGET_INPUT_FILES = delete(input_file).where(input_file.c.job_id == bindparam("job"))
NEW_INPUT_FILES = insert(input_file)

_IN_PLAN = (
    "FROM plan p JOIN member m ON m.variant_set = p.variant_set "
    "WHERE task.job_id = :job AND task.prompt_id = p.prompt_id AND task.variant_id = m.variant_id"
)
_REVISE = (
    f"UPDATE task SET work = '{TRANSITIONS[TaskEvent.REVISE][1]}', wanted = 1, revision = last_revision + 1, "
    "own = p.own, shared = p.shared, quality = p.quality, images = p.images, send_width = NULL, send_height = NULL, "
    "send_route = '', attempts = 0, unknowns = 0, hollow = 0, "
    f"calls = 0, scheduled_at = NULL, reason = '', updated_at = :now {_IN_PLAN} "
    f"AND task.work IN ({quoted(TRANSITIONS[TaskEvent.REVISE][0])})"
)
REMOVE_TASKS = text(
    "UPDATE task SET wanted = 0, updated_at = :now WHERE job_id = :job AND wanted = 1 AND NOT EXISTS ("
    "SELECT 1 FROM plan p JOIN member m ON m.variant_set = p.variant_set "
    "WHERE p.prompt_id = task.prompt_id AND m.variant_id = task.variant_id)"
)
WANT_TASKS_AGAIN = text(f"UPDATE task SET wanted = 1, updated_at = :now {_IN_PLAN} AND task.wanted = 0")
REVISE_CHANGED_TASKS = text(f"{_REVISE} AND task.own <> p.own")
REBUY_TASKS = text(f"{_REVISE} AND task.shared <> p.shared AND task.work = 'completed'")
SHARE_SETTINGS = text(
    f"UPDATE task SET shared = p.shared {_IN_PLAN} AND task.shared <> p.shared AND task.work <> 'completed'"
)
_NEW_TASKS = (
    "INSERT INTO task (job_id, prompt_id, variant_id, work, wanted, revision, own, shared, quality, images, "
    "updated_at) SELECT :job, p.prompt_id, m.variant_id, 'available', 1, 1, p.own, p.shared, p.quality, p.images, :now "
    "FROM plan p CROSS JOIN member m ON m.variant_set = p.variant_set {} ORDER BY p.prompt_id, m.number"
)
NEW_TASKS_OF_NEW_JOB = text(_NEW_TASKS.format(""))
NEW_TASKS = text(
    _NEW_TASKS.format(
        "WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.job_id = :job AND t.prompt_id = p.prompt_id "
        "AND t.variant_id = m.variant_id)"
    )
)
COUNT_PLAN = text(
    "UPDATE job SET prompts = (SELECT count(*) FROM plan), tasks = :tasks, rebuy = :rebuy WHERE id = :job"
)
