-- What happened, to whom, from where. Written once, never changed.

CREATE TABLE audit_logs (
    id         uuid        PRIMARY KEY,
    ver        bigint      NOT NULL,
    gen        bigint      NOT NULL,
    partition  smallint    NOT NULL,
    user_id    uuid,
    session_id uuid,
    action     text        NOT NULL,
    success    boolean     NOT NULL,
    ip_address inet,
    user_agent text,
    request_id text,
    details    jsonb       NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE INDEX audit_logs_user_id ON audit_logs (user_id, created_at DESC);

COMMENT ON COLUMN audit_logs.action IS 'user.login, session.revoked, …';
COMMENT ON COLUMN audit_logs.details IS 'more about it, never a secret';
