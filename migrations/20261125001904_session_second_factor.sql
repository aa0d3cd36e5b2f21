-- Remembers when a session last showed a second factor. Older sessions count as never.

ALTER TABLE sessions ADD COLUMN second_factor_at timestamptz;

COMMENT ON COLUMN sessions.second_factor_at IS 'when a second factor was last shown; a trusted device is none';
