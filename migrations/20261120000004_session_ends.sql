-- Finds the sessions that the purge removes.

CREATE INDEX sessions_end ON sessions (least(deleted_at, expires_at, idle_expires_at));
