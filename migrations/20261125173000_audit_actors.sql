-- Who did what an entry tells about, beside whom it is about. Older entries name no actor.

ALTER TABLE audit_logs ADD COLUMN actor_kind text;
ALTER TABLE audit_logs ADD COLUMN actor_id uuid;
ALTER TABLE audit_logs ADD COLUMN actor_session_id uuid;
ALTER TABLE audit_logs ADD COLUMN actor_key_id uuid;

COMMENT ON COLUMN audit_logs.user_id IS 'account that it is about';
COMMENT ON COLUMN audit_logs.session_id IS 'session of that account which it is about';
COMMENT ON COLUMN audit_logs.actor_kind IS 'anonymous, account, api_key, command_line, service; null in older entries';
COMMENT ON COLUMN audit_logs.actor_id IS 'account that did it, itself or by one of its API keys';
COMMENT ON COLUMN audit_logs.actor_session_id IS 'session by which it was done';
COMMENT ON COLUMN audit_logs.actor_key_id IS 'API key by which it was done';
