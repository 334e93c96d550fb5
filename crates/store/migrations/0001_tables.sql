-- Times are nanoseconds since 1970: timestamptz has microseconds only. Organisations are compared bytewise ("C"), which
-- also makes lower() a plain scan over ASCII in searches for words.

-- Events by day. The partition of a day holds its events; logs_other holds those of days that have none: a clock gone
-- wrong, a log from long ago. Columns of fixed width come first, so that nothing is lost to alignment.
CREATE TABLE logs (
    -- When it happened.
    timestamp       bigint   NOT NULL,
    -- Where it came from: offset, then partition. Orders events of the same time.
    place           bigint   NOT NULL,
    id              uuid     NOT NULL,
    -- When it was stored: what logs_other is emptied by.
    stored_on       date     NOT NULL,
    -- 0 TRACE to 5 FATAL.
    level           smallint NOT NULL,
    organization_id text     NOT NULL COLLATE "C",
    service         text     NOT NULL COLLATE "C",
    message         text     NOT NULL COLLATE "C",
    trace_id        text     COLLATE "C",
    span_id         text     COLLATE "C",
    -- JSON as the client wrote it; text, because jsonb would neither keep it nor take every JSON.
    attributes      text     COLLATE "C"
) PARTITION BY RANGE (timestamp);

-- The one index by value. Level is in it so that counts need nothing else. It is not unique: a uniqueness check costs
-- nearly half of the rate, and consumer_offsets makes it needless.
CREATE INDEX logs_by_time ON logs (organization_id, timestamp, place) INCLUDE (level);

-- Ids rise with time (UUIDv7), so a summary of each megabyte finds one at almost no cost in storing.
CREATE INDEX logs_by_id ON logs USING brin (id) WITH (autosummarize = on, pages_per_range = 128);

CREATE TABLE logs_other PARTITION OF logs DEFAULT;

-- A row a partition of a topic: how far it is stored, and what became of every offset.
CREATE TABLE consumer_offsets (
    topic_id      uuid    NOT NULL,
    partition     integer NOT NULL,
    start_offset  bigint  NOT NULL,
    next_offset   bigint  NOT NULL,
    stored        bigint  NOT NULL DEFAULT 0,
    -- Of stored: repetitions of an id, which brought no row.
    duplicates    bigint  NOT NULL DEFAULT 0,
    dead_lettered bigint  NOT NULL DEFAULT 0,
    -- Of dead_lettered: still being tried again.
    retrying      bigint  NOT NULL DEFAULT 0,
    skipped       bigint  NOT NULL DEFAULT 0,
    lost          bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (topic_id, partition),
    CONSTRAINT ledger_balances CHECK (next_offset - start_offset = stored + dead_lettered + skipped + lost),
    CONSTRAINT ledger_not_negative CHECK (least(stored, duplicates, dead_lettered, retrying, skipped, lost) >= 0),
    CONSTRAINT ledger_duplicates_are_part CHECK (duplicates <= stored),
    CONSTRAINT ledger_retrying_is_part CHECK (retrying <= dead_lettered)
) WITH (fillfactor = 50); -- Room for every update to stay in its page.

-- Records that could not be stored, byte for byte. With retry_at it is being tried again; without, it is given up and
-- waits to be published. One that is stored by a retry leaves the table.
CREATE TABLE dead_letters (
    id           bigint   PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    topic_id     uuid     NOT NULL,
    partition    integer  NOT NULL,
    "offset"     bigint   NOT NULL,
    key          bytea    NOT NULL,
    payload      bytea    NOT NULL,
    traceparent  text,
    reason       text     NOT NULL,
    attempts     integer  NOT NULL CHECK (attempts >= 1),
    first_at     bigint   NOT NULL,
    retry_at     bigint,
    -- Number of the publication it belongs to, and when that was published.
    publication  bigint,
    published_at bigint,
    UNIQUE (topic_id, partition, "offset"),
    CONSTRAINT published_when_given_up CHECK (publication IS NULL OR retry_at IS NULL),
    CONSTRAINT published_by_number CHECK (published_at IS NULL OR publication IS NOT NULL)
);
CREATE INDEX dead_letters_due ON dead_letters (retry_at, id) WHERE retry_at IS NOT NULL;
CREATE INDEX dead_letters_given_up ON dead_letters (id) WHERE retry_at IS NULL AND publication IS NULL;
CREATE INDEX dead_letters_open ON dead_letters (publication, id) WHERE published_at IS NULL AND publication IS NOT NULL;
CREATE INDEX dead_letters_published ON dead_letters (published_at) WHERE published_at IS NOT NULL;
CREATE SEQUENCE dead_letter_publications;

-- The ids that a partition stored last, a row a flush: 16 bytes of id and 8 of a hash of the organisation each.
CREATE TABLE recent_ids (
    topic_id    uuid    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    ids         bytea   NOT NULL,
    PRIMARY KEY (topic_id, partition, next_offset)
);
-- They do not compress; trying costs time.
ALTER TABLE recent_ids ALTER COLUMN ids SET STORAGE EXTERNAL;

-- For people: SELECT * FROM events WHERE time > now() - interval '5 minutes' reads well, but not by index.
CREATE VIEW events AS
SELECT to_timestamp(timestamp / 1e9) AS time,
       (ARRAY['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'])[level + 1] AS level,
       organization_id, service, message, trace_id, span_id, attributes, id, timestamp
FROM logs;
