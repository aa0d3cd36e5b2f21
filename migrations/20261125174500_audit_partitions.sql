-- The audit in monthly partitions, its full text, and the order in which entries arrived.
--
-- The partitions are ranges of `id`: a UUIDv7 begins with its time, and so `id` alone stays unique, as instances of
-- the version before rely on (ON CONFLICT (id)). The table so far becomes the first partition.

ALTER TABLE audit_logs RENAME TO audit_logs_first;
ALTER TABLE audit_logs_first RENAME CONSTRAINT audit_logs_pkey TO audit_logs_first_pkey;
DROP INDEX audit_logs_user_id;

ALTER TABLE audit_logs_first ADD COLUMN search tsvector GENERATED ALWAYS AS (
    to_tsvector('simple'::regconfig, translate(
        action || ' ' || coalesce(user_agent, '') || ' ' || details::text,
        './_-":{}[](),;@+=', repeat(' ', 18)))
) STORED;

CREATE TABLE audit_logs (
    LIKE audit_logs_first INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING COMMENTS
) PARTITION BY RANGE (id);
ALTER TABLE audit_logs ADD PRIMARY KEY (id);
-- Entries about an account, and those of its acts upon others: mostly the actor is the subject.
CREATE INDEX audit_logs_user_id ON audit_logs (user_id, id);
CREATE INDEX audit_logs_actor_id ON audit_logs (actor_id, id) WHERE actor_id IS DISTINCT FROM user_id;
CREATE INDEX audit_logs_action ON audit_logs (action, id);
CREATE INDEX audit_logs_failed ON audit_logs (id) WHERE NOT success;
CREATE INDEX audit_logs_ip_address ON audit_logs (ip_address, id);
CREATE INDEX audit_logs_search ON audit_logs USING gin (search);

COMMENT ON COLUMN audit_logs.search IS 'words of action, user agent and details';

-- The least id of a time.
CREATE FUNCTION audit_id_at(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- The partitions and their bounds; NULL where there is none.
CREATE VIEW audit_log_partitions AS
    SELECT c.relname::text AS name,
           substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([-0-9a-f]{36})''\)')::uuid AS low,
           substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([-0-9a-f]{36})''\)')::uuid AS high
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'audit_logs'::regclass;

-- Makes the partition of the month of a time, and moves what came before it was made. False when it is there.
CREATE FUNCTION audit_make_partition(at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    month timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
    first_id uuid := audit_id_at(month AT TIME ZONE 'UTC');
    next_id uuid := audit_id_at((month + interval '1 month') AT TIME ZONE 'UTC');
    title text := 'audit_logs_' || to_char(month, 'YYYY_MM');
    members text;
BEGIN
    FOR attempt IN 1..2 LOOP
        IF EXISTS (SELECT FROM audit_log_partitions p
                   WHERE p.high >= next_id AND (p.low IS NULL OR p.low <= first_id)) THEN
            RETURN false;
        END IF;
        -- Another instance may be about to make it: looks again when that is done.
        PERFORM pg_advisory_xact_lock(1511104464);
    END LOOP;
    SELECT string_agg(quote_ident(attname), ', ') INTO members FROM pg_attribute
    WHERE attrelid = 'audit_logs'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    LOCK TABLE audit_logs_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE %I (LIKE audit_logs INCLUDING ALL)', title);
    EXECUTE format('WITH moved AS (DELETE FROM audit_logs_default WHERE id >= $1 AND id < $2 RETURNING %1$s) '
                   'INSERT INTO %2$I (%1$s) SELECT %1$s FROM moved', members, title) USING first_id, next_id;
    EXECUTE format('ALTER TABLE audit_logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', title, first_id, next_id);
    RETURN true;
END $$;

-- Drops the partitions whose entries are all from before a time. Tells how many went.
CREATE FUNCTION audit_drop_partitions(before timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    old text;
    dropped integer := 0;
BEGIN
    FOR old IN SELECT p.name FROM audit_log_partitions p WHERE p.high <= audit_id_at(before) LOOP
        EXECUTE format('DROP TABLE %I', old);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM audit_logs_default WHERE id < audit_id_at(before);
    RETURN dropped;
END $$;

DO $$
DECLARE
    month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    high uuid := audit_id_at((month + interval '1 month') AT TIME ZONE 'UTC');
    members text;
BEGIN
    CREATE TABLE audit_logs_default PARTITION OF audit_logs DEFAULT;
    SELECT string_agg(quote_ident(attname), ', ') INTO members FROM pg_attribute
    WHERE attrelid = 'audit_logs'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    -- Clocks that were ahead.
    EXECUTE format('WITH moved AS (DELETE FROM audit_logs_first WHERE id >= $1 RETURNING %1$s) '
                   'INSERT INTO audit_logs_default (%1$s) SELECT %1$s FROM moved', members) USING high;
    EXECUTE format('ALTER TABLE audit_logs ATTACH PARTITION audit_logs_first FOR VALUES FROM (MINVALUE) TO (%L)', high);
    PERFORM audit_make_partition((month + interval '1 month') AT TIME ZONE 'UTC');
    PERFORM audit_make_partition((month + interval '2 months') AT TIME ZONE 'UTC');
END $$;

-- Entries in the order in which they arrived: each gets the next position after its transaction was committed, so
-- that who has read up to a position has missed none. Positions outlive their entries.
CREATE TABLE audit_positions (
    position bigint PRIMARY KEY,
    entry_id uuid   NOT NULL UNIQUE
);

-- Entries without a position yet.
CREATE TABLE audit_arrivals (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_id uuid   NOT NULL
);

INSERT INTO audit_positions SELECT row_number() OVER (ORDER BY id), id FROM audit_logs;

CREATE FUNCTION audit_note_arrivals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_arrivals (entry_id) SELECT id FROM arrived;
    RETURN NULL;
END $$;

CREATE TRIGGER audit_note_arrivals AFTER INSERT ON audit_logs
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION audit_note_arrivals();
