-- The write-behind's own books.

-- How far each partition has come: what a lost or rewound Redis is recognised by, and where a new
-- incarnation of it starts counting.
CREATE TABLE partitions (
    partition smallint PRIMARY KEY,
    ver       bigint   NOT NULL,
    gen       bigint   NOT NULL
);

COMMENT ON COLUMN partitions.ver IS 'highest version that any row of the partition ever had';

-- Row images that PostgreSQL refused, put aside so that the others could go on. Somebody must look.
CREATE TABLE dead_letters (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition  smallint    NOT NULL,
    gen        bigint      NOT NULL,
    ver        bigint      NOT NULL,
    record     text        NOT NULL,
    image      text        NOT NULL,
    sqlstate   text        NOT NULL,
    message    text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN dead_letters.record IS 'kind and id of the record, as in session:0190…';
COMMENT ON COLUMN dead_letters.image IS 'the row image, as text because it may not be valid jsonb';
