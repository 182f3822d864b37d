"""All SQL of the ledger but its tables, views and pragmas: a constant for each statement, named for what it does.

Outside this folder a statement is only narrowed (`where`, `order_by`, `limit`) and run. Each module is an errand:

- `hot`: what a run does for every call: claim, reserve, book, settle, deliver, and the sums that hold the walls
- `registers`: the rows of the ledger itself, its jobs, runs and batches
- `plan_changes`: a manifest's plan staged, compared with the books and written into them
- `by_hand`: what a person decides
- `restoring`: what an output folder tells, entered into books that do not have it
- `lookups`: what readers ask
- `consistency`: what `verify` asks of the books alone
- `fragments`: parts of statements, and how columns are called in values
"""
