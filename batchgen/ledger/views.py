"""Views for people who look with sqlite3 or datasette: no join, times in ISO, money in dollars; see `docs/ledger.md`.

Amounts are numbers, rounded to micro-dollars, so that they can be added up; the tables have exact integers.
"""

from __future__ import annotations

IMAGES = """\
CREATE VIEW images AS
SELECT
  j.name AS job,
  p.key AS id,
  v.size AS size,
  v.sample AS sample,
  t.state AS state,
  t.image_id IS NOT NULL AND t.work <> 'completed' AS outdated,
  j.output AS folder,
  i.path AS file,
  i.width AS width,
  i.height AS height,
  i.format AS format,
  i.bytes AS bytes,
  i.sha256 AS sha256,
  i.flags AS flags,
  coalesce(i.revision, t.revision) AS revision,
  (SELECT count(*) FROM attempt c WHERE c.task_id = t.id) AS calls,
  (SELECT round(coalesce(sum(c.billed), 0) / 1e6, 6) FROM attempt c
    WHERE c.task_id = t.id AND c.charge = 'billed') AS billed_usd,
  (SELECT round(coalesce(sum(max(c.billed, c.reserved)), 0) / 1e6, 6) FROM attempt c
    WHERE c.task_id = t.id AND c.charge = 'unknown') AS maybe_usd,
  a.route AS route,
  a.model AS model,
  json_extract(a.request_ids, '$[0][1]') AS request_id,
  strftime('%Y-%m-%dT%H:%M:%SZ', i.created_at, 'unixepoch') AS delivered_at,
  t.reason AS reason,
  p.text AS text
FROM task t
JOIN job j ON j.id = t.job_id
JOIN prompt p ON p.id = t.prompt_id
JOIN variant v ON v.id = t.variant_id
LEFT JOIN image i ON i.id = t.image_id
LEFT JOIN attempt a ON a.id = i.attempt_id
WHERE t.wanted = 1"""

SPENDING = """\
CREATE VIEW spending AS
SELECT
  j.name AS job,
  p.key AS id,
  v.size AS size,
  v.sample AS sample,
  a.revision AS revision,
  a.route AS route,
  a.model AS model,
  a.outcome AS outcome,
  a.charge AS charge,
  round(CASE a.charge WHEN 'billed' THEN a.billed ELSE 0 END / 1e6, 6) AS billed_usd,
  round(CASE a.charge WHEN 'unknown' THEN max(a.billed, a.reserved) ELSE 0 END / 1e6, 6) AS maybe_usd,
  round(CASE a.charge WHEN 'reserved' THEN a.reserved ELSE 0 END / 1e6, 6) AS reserved_usd,
  strftime('%Y-%m-%dT%H:%M:%SZ', nullif(a.sent_at, 0), 'unixepoch') AS sent_at,
  round(a.total, 3) AS seconds,
  json_extract(a.request_ids, '$[0][1]') AS request_id,
  a.run_id AS run,
  a.month AS month,
  a.key_fingerprint AS key_fingerprint,
  a.detail AS detail,
  a.id AS attempt
FROM attempt a
JOIN task t ON t.id = a.task_id
JOIN job j ON j.id = a.job_id
JOIN prompt p ON p.id = t.prompt_id
JOIN variant v ON v.id = t.variant_id"""

VIEWS = {"images": IMAGES, "spending": SPENDING}
