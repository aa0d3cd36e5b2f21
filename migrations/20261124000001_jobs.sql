-- Jobs that must survive the loss of Redis, and jobs of any kind that were given up.
--
-- Redis knows when an open job is due; after a loss it is found again here by its due time.

CREATE TABLE jobs (
    id         uuid        PRIMARY KEY,
    ver        bigint      NOT NULL,
    gen        bigint      NOT NULL,
    partition  smallint    NOT NULL,
    kind       text        NOT NULL,
    content    text        NOT NULL,
    attempts   integer     NOT NULL,
    due_at     timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    failed_at  timestamptz,
    failure    text,
    deleted_at timestamptz
);

-- Finds open jobs that are overdue.
CREATE INDEX jobs_due ON jobs (due_at) WHERE deleted_at IS NULL AND failed_at IS NULL;
-- Lists the jobs that were given up.
CREATE INDEX jobs_failed ON jobs (failed_at) WHERE failed_at IS NOT NULL AND deleted_at IS NULL;
-- Finds the jobs that the purge removes.
CREATE INDEX jobs_end ON jobs (least(deleted_at, failed_at));

COMMENT ON COLUMN jobs.kind IS 'webhook, …';
COMMENT ON COLUMN jobs.content IS 'what to do, as its kind knows it; secrets are sealed; empty when it lived in Redis alone';
COMMENT ON COLUMN jobs.attempts IS 'that failed';
COMMENT ON COLUMN jobs.due_at IS 'when the next attempt is due';
COMMENT ON COLUMN jobs.expires_at IS 'no attempt begins after this';
COMMENT ON COLUMN jobs.failed_at IS 'when it was given up: it waits for somebody to look at it';
COMMENT ON COLUMN jobs.failure IS 'why the last attempt failed';
COMMENT ON COLUMN jobs.deleted_at IS 'when it was done';
