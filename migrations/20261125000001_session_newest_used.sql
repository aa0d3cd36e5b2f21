-- Shows whether a client has received the newest refresh token of its session.

ALTER TABLE sessions ADD COLUMN newest_used_at timestamptz;

COMMENT ON COLUMN sessions.newest_used_at IS
    'first use of an access token that came with a newest refresh token; with the present one when not before rotated_at';
