-- Epochs of partitions, who refused a dead letter, how many bytes letters have, and ids of topics that are gone.

-- A partition that lost its end (an unclean election of a leader) uses offsets again that mean other records: its next
-- epoch has a row of its own. The row of an epoch that ended stays as it is but for its letters.
ALTER TABLE consumer_offsets
    ADD COLUMN epoch integer NOT NULL DEFAULT 0,
    -- Set by the transaction that begins the next epoch. A flush that waits for that transaction looks at it again.
    ADD COLUMN ended boolean NOT NULL DEFAULT false,
    -- Raised when a retry adds to recent_ids: whoever remembers fewer reads them again.
    ADD COLUMN ids_by_retry bigint NOT NULL DEFAULT 0,
    -- Bytes of the dead letters, and of those that are published. Here and not in one row for all, because whoever sets
    -- letters aside has locked this row already.
    ADD COLUMN letter_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN published_bytes bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT consumer_offsets_pkey,
    ADD PRIMARY KEY (topic_id, partition, epoch);
ALTER TABLE consumer_offsets ALTER COLUMN epoch DROP DEFAULT;
CREATE UNIQUE INDEX consumer_offsets_newest ON consumer_offsets (topic_id, partition) WHERE NOT ended;

ALTER TABLE dead_letters
    ADD COLUMN epoch integer NOT NULL DEFAULT 0,
    ADD COLUMN timestamp_ms bigint,
    -- Of the last refusal, when it was the server that refused.
    ADD COLUMN sqlstate text,
    ADD COLUMN bytes bigint NOT NULL GENERATED ALWAYS AS (octet_length(key) + octet_length(payload)) STORED,
    DROP CONSTRAINT dead_letters_topic_id_partition_offset_key,
    ADD UNIQUE (topic_id, partition, epoch, "offset");
-- When an older letter was appended to its topic is not known; it was not later than this.
UPDATE dead_letters SET timestamp_ms = first_at / 1000000;
ALTER TABLE dead_letters
    ALTER COLUMN epoch DROP DEFAULT,
    ALTER COLUMN timestamp_ms SET NOT NULL;

-- Keeps the bytes in step with the letters, whoever changes them: also somebody at a shell.
CREATE FUNCTION dead_letters_come() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE consumer_offsets AS ledger
    SET letter_bytes = letter_bytes + sums.bytes, published_bytes = published_bytes + sums.published
    FROM (SELECT topic_id, partition, epoch, sum(bytes) AS bytes,
                 sum(CASE WHEN published_at IS NULL THEN 0 ELSE bytes END) AS published
          FROM changed GROUP BY topic_id, partition, epoch) AS sums
    WHERE (ledger.topic_id, ledger.partition, ledger.epoch) = (sums.topic_id, sums.partition, sums.epoch);
    RETURN NULL;
END $$;
CREATE FUNCTION dead_letters_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE consumer_offsets AS ledger
    SET letter_bytes = letter_bytes - sums.bytes, published_bytes = published_bytes - sums.published
    FROM (SELECT topic_id, partition, epoch, sum(bytes) AS bytes,
                 sum(CASE WHEN published_at IS NULL THEN 0 ELSE bytes END) AS published
          FROM changed GROUP BY topic_id, partition, epoch) AS sums
    WHERE (ledger.topic_id, ledger.partition, ledger.epoch) = (sums.topic_id, sums.partition, sums.epoch);
    RETURN NULL;
END $$;
CREATE FUNCTION dead_letters_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE consumer_offsets AS ledger SET published_bytes = published_bytes + sums.bytes
    FROM (SELECT topic_id, partition, epoch, sum(changed.bytes) AS bytes
          FROM changed JOIN before USING (id, topic_id, partition, epoch)
          WHERE changed.published_at IS NOT NULL AND before.published_at IS NULL
          GROUP BY topic_id, partition, epoch) AS sums
    WHERE (ledger.topic_id, ledger.partition, ledger.epoch) = (sums.topic_id, sums.partition, sums.epoch);
    RETURN NULL;
END $$;
CREATE FUNCTION dead_letters_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE consumer_offsets SET letter_bytes = 0, published_bytes = 0;
    RETURN NULL;
END $$;
CREATE TRIGGER dead_letters_come AFTER INSERT ON dead_letters
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dead_letters_come();
CREATE TRIGGER dead_letters_go AFTER DELETE ON dead_letters
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dead_letters_go();
CREATE TRIGGER dead_letters_published AFTER UPDATE ON dead_letters
    REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION dead_letters_published();
CREATE TRIGGER dead_letters_truncated AFTER TRUNCATE ON dead_letters
    FOR EACH STATEMENT EXECUTE FUNCTION dead_letters_truncated();

UPDATE consumer_offsets AS ledger SET letter_bytes = sums.bytes, published_bytes = sums.published
FROM (SELECT topic_id, partition, epoch, sum(bytes) AS bytes,
             sum(CASE WHEN published_at IS NULL THEN 0 ELSE bytes END) AS published
      FROM dead_letters GROUP BY topic_id, partition, epoch) AS sums
WHERE (ledger.topic_id, ledger.partition, ledger.epoch) = (sums.topic_id, sums.partition, sums.epoch);

-- Ids are known in all epochs of a partition: what an epoch stored is still stored after its end.
ALTER TABLE recent_ids
    ADD COLUMN epoch integer NOT NULL DEFAULT 0,
    -- Those that are there already count from now on.
    ADD COLUMN stored_on date NOT NULL DEFAULT current_date,
    DROP CONSTRAINT recent_ids_pkey,
    ADD PRIMARY KEY (topic_id, partition, epoch, next_offset);
ALTER TABLE recent_ids ALTER COLUMN epoch DROP DEFAULT;
