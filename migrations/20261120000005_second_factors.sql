-- Second factors and trusted devices.

ALTER TABLE users ADD COLUMN proof_epoch bigint NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN proof_epoch bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN users.proof_epoch IS 'grows with every change of the second factors';
COMMENT ON COLUMN sessions.proof_epoch IS 'of the account when its owner last proved who they are';

-- One row for each account that has or had second factors: its version is the lock for everything that
-- may happen once.
CREATE TABLE second_factors (
    id          uuid        PRIMARY KEY,
    ver         bigint      NOT NULL,
    gen         bigint      NOT NULL,
    partition   smallint    NOT NULL,
    methods     jsonb       NOT NULL,
    preferred   text,
    backup      jsonb,
    sealed_with integer     NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    deleted_at  timestamptz
);

-- Finds what must be sealed anew after a rotation of keys.
CREATE INDEX second_factors_sealed_with ON second_factors (sealed_with) WHERE deleted_at IS NULL;

COMMENT ON COLUMN second_factors.id IS 'of the account';
COMMENT ON COLUMN second_factors.methods IS 'kind, sealed secret, newest accepted step, failures; at most one of each kind';
COMMENT ON COLUMN second_factors.backup IS 'one salt and the Argon2id tags of the codes that are left';
COMMENT ON COLUMN second_factors.sealed_with IS 'version of the oldest key that a secret here is sealed with';

CREATE TABLE trusted_devices (
    id            uuid        PRIMARY KEY,
    ver           bigint      NOT NULL,
    gen           bigint      NOT NULL,
    partition     smallint    NOT NULL,
    user_id       uuid        NOT NULL,
    epoch         bigint      NOT NULL,
    generation    bigint      NOT NULL,
    token_hash    text        NOT NULL,
    previous_hash text,
    successor     text,
    rotated_at    timestamptz NOT NULL,
    name          text        NOT NULL,
    ip_address    inet        NOT NULL,
    user_agent    text        NOT NULL,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    deleted_at    timestamptz
);

CREATE INDEX trusted_devices_user_id ON trusted_devices (user_id) WHERE deleted_at IS NULL;
CREATE INDEX trusted_devices_end ON trusted_devices (least(deleted_at, expires_at));

COMMENT ON COLUMN trusted_devices.epoch IS 'of the account when it was trusted; older ones are over';
COMMENT ON COLUMN trusted_devices.generation IS 'which token of the family is the newest';
COMMENT ON COLUMN trusted_devices.token_hash IS 'SHA-256 of the newest token''s secret';
