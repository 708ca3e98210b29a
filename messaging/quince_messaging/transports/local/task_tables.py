"""The tables of the task file, and the statement by which a consumer settles tasks and takes new ones."""

from __future__ import annotations

SCHEMA_VERSION = 2

SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    owner INTEGER,
    turn INTEGER,
    redelivered INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS tasks_ready ON tasks (queue, priority DESC, id) WHERE owner IS NULL;
CREATE INDEX IF NOT EXISTS tasks_held ON tasks (owner) WHERE owner IS NOT NULL;
CREATE TABLE IF NOT EXISTS consumers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    peer TEXT NOT NULL,
    queue TEXT NOT NULL,
    hungry INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS identifiers (identifier TEXT PRIMARY KEY, peer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at REAL NOT NULL,
    body BLOB NOT NULL
);
"""

EXCHANGE = """
CREATE TEMP VIEW exchange AS
    SELECT NULL AS consumer, NULL AS settled, NULL AS queue, NULL AS most, NULL AS turn, NULL AS prefetch;
CREATE TEMP TRIGGER make_exchange INSTEAD OF INSERT ON exchange BEGIN
    DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(NEW.settled)) AND owner = NEW.consumer;
    UPDATE tasks SET owner = NEW.consumer, turn = NEW.turn WHERE id IN (
        SELECT id FROM tasks WHERE queue = NEW.queue AND owner IS NULL
        ORDER BY priority DESC, id LIMIT NEW.most);
    UPDATE consumers SET hungry = NOT hungry WHERE id = NEW.consumer
        AND hungry != ((SELECT count(*) FROM tasks WHERE owner = NEW.consumer) < NEW.prefetch);
END;
"""
"""Delete what a consumer has settled, give it tasks, and note whether it waits for more: one statement, so
that no other process finds the file locked between them."""
