-- Accounts and their sessions.
--
-- Redis is written first; these tables receive full row images a moment later. Three columns serve that:
-- `ver` orders the images of one row (microseconds, growing within a partition), `gen` names the
-- incarnation of Redis that the image came from, `partition` is the last byte of the owner's id.
-- There are no foreign keys: the images of one commit may arrive in any order.

CREATE TABLE users (
    id                 uuid        PRIMARY KEY,
    ver                bigint      NOT NULL,
    gen                bigint      NOT NULL,
    partition          smallint    NOT NULL,
    email              text        NOT NULL,
    email_key          text        NOT NULL,
    username           text        NOT NULL,
    username_key       text        NOT NULL,
    email_verified_at  timestamptz,
    password_hash      text,
    two_factor_enabled boolean     NOT NULL,
    roles              text[]      NOT NULL,
    session_epoch      bigint      NOT NULL,
    device_epoch       bigint      NOT NULL,
    disabled_at        timestamptz,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    deleted_at         timestamptz
);

-- The last word on who owns a name. An erased or withdrawn account owns none.
CREATE UNIQUE INDEX users_email_key ON users (email_key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_username_key ON users (username_key) WHERE deleted_at IS NULL;

COMMENT ON COLUMN users.email IS 'as its owner wrote it; mail goes to exactly this address';
COMMENT ON COLUMN users.email_key IS 'normal form, unique among accounts that are not deleted';
COMMENT ON COLUMN users.password_hash IS 'PHC string, or a bcrypt hash that an import brought';
COMMENT ON COLUMN users.session_epoch IS 'sessions issued under an older epoch are over';
COMMENT ON COLUMN users.device_epoch IS 'trusted devices issued under an older epoch are over';

CREATE TABLE sessions (
    id              uuid        PRIMARY KEY,
    ver             bigint      NOT NULL,
    gen             bigint      NOT NULL,
    partition       smallint    NOT NULL,
    user_id         uuid        NOT NULL,
    epoch           bigint      NOT NULL,
    generation      bigint      NOT NULL,
    refresh_hash    text        NOT NULL,
    previous_hash   text,
    successor       text,
    rotated_at      timestamptz NOT NULL,
    amr             text[]      NOT NULL,
    auth_time       timestamptz NOT NULL,
    ip_address      inet        NOT NULL,
    user_agent      text        NOT NULL,
    created_at      timestamptz NOT NULL,
    last_used_at    timestamptz NOT NULL,
    idle_expires_at timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    deleted_at      timestamptz
);

CREATE INDEX sessions_user_id ON sessions (user_id) WHERE deleted_at IS NULL;

COMMENT ON COLUMN sessions.generation IS 'which refresh token of the family is the newest';
COMMENT ON COLUMN sessions.refresh_hash IS 'SHA-256 of the newest refresh token''s secret';
COMMENT ON COLUMN sessions.successor IS 'newest secret under a pad that only the one before can make';
