-- Roles of the service beside the built-in ones, and its administrators: one row, so that what is true of all of them is
-- decided in one step.

CREATE TABLE roles (
    id             uuid        PRIMARY KEY,
    ver            bigint      NOT NULL,
    gen            bigint      NOT NULL,
    partition      smallint    NOT NULL,
    defined        jsonb       NOT NULL,
    administrators uuid[]      NOT NULL,
    updated_at     timestamptz NOT NULL
);

COMMENT ON COLUMN roles.defined IS 'name, description, permissions, created_at, deleted_at of each role';
COMMENT ON COLUMN roles.administrators IS 'accounts with the role admin that are active';
