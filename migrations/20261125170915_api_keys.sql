-- API keys, and how they are used.

CREATE TABLE api_keys (
    id             uuid        PRIMARY KEY,
    ver            bigint      NOT NULL,
    gen            bigint      NOT NULL,
    partition      smallint    NOT NULL,
    user_id        uuid        NOT NULL,
    name           text        NOT NULL,
    key_prefix     text        NOT NULL,
    secret_hash    text        NOT NULL,
    previous_hash  text,
    previous_until timestamptz,
    scopes         text[]      NOT NULL,
    allowed_ips    text[]      NOT NULL,
    rate_limit     integer,
    expires_at     timestamptz,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    revoked_at     timestamptz,
    deleted_at     timestamptz
);

CREATE INDEX api_keys_user_id ON api_keys (user_id) WHERE deleted_at IS NULL;
CREATE INDEX api_keys_end ON api_keys (least(deleted_at));

COMMENT ON COLUMN api_keys.key_prefix IS 'beginning of its text, which its owner is shown';
COMMENT ON COLUMN api_keys.secret_hash IS 'SHA-256 of the newest secret';
COMMENT ON COLUMN api_keys.previous_hash IS 'SHA-256 of the secret before, good until previous_until';
COMMENT ON COLUMN api_keys.allowed_ips IS 'networks that may use it; none means all';
COMMENT ON COLUMN api_keys.rate_limit IS 'most requests in an hour; null means the default of the service';
COMMENT ON COLUMN api_keys.revoked_at IS 'when it was revoked; it is still listed';

-- Counted in memory and added here every few seconds, so it has no version: no record of the log comes here.
CREATE TABLE api_key_usage (
    key_id          uuid        NOT NULL,
    day             date        NOT NULL,
    requests        bigint      NOT NULL,
    refused_ended   bigint      NOT NULL,
    refused_owner   bigint      NOT NULL,
    refused_address bigint      NOT NULL,
    refused_scope   bigint      NOT NULL,
    refused_limit   bigint      NOT NULL,
    last_used_at    timestamptz NOT NULL,
    last_address    text        NOT NULL,
    PRIMARY KEY (key_id, day)
);

-- Finds the days that the purge removes.
CREATE INDEX api_key_usage_day ON api_key_usage (day);

COMMENT ON TABLE api_key_usage IS 'requests by an API key on one day (UTC)';
COMMENT ON COLUMN api_key_usage.requests IS 'all that showed a secret of the key, refused ones included';
COMMENT ON COLUMN api_key_usage.refused_ended IS 'the key was revoked or had expired';
COMMENT ON COLUMN api_key_usage.refused_owner IS 'the account was disabled, or owed a second factor';
COMMENT ON COLUMN api_key_usage.refused_address IS 'from an address that is not on its list';
COMMENT ON COLUMN api_key_usage.refused_scope IS 'the key has not the scope, or the route takes no keys';
COMMENT ON COLUMN api_key_usage.refused_limit IS 'beyond its hourly limit';
