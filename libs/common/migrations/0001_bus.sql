-- The log: durable events in PostgreSQL. As the embedded bus it is read by groups of consumers; in front of Kafka it is the
-- outbox, read by a relay for each service.
--
-- Positions are handed out per topic under that topic's row lock, which is held until the transaction commits. So a
-- topic's positions are without gaps in commit order, and a reader who has seen position n has seen all before it.
-- (A log numbered by a sequence loses rows that commit late.) See docs/decisions/0002.

CREATE SCHEMA bus;
GRANT USAGE ON SCHEMA bus TO rialto_gateway, rialto_ledger, rialto_fraud, rialto_compliance, rialto_chain_bridge, rialto_auditor;

CREATE TABLE bus.topics (
    topic TEXT NOT NULL,
    partitions INT NOT NULL DEFAULT 4,
    next_position BIGINT NOT NULL DEFAULT 1,
    CONSTRAINT topics_pk PRIMARY KEY (topic),
    CONSTRAINT topics_partitions_positive CHECK (partitions > 0)
) WITH (fillfactor = 50);

INSERT INTO bus.topics (topic)
SELECT t || suffix
FROM unnest(ARRAY[
    'rialto.payments.v1', 'rialto.fraud.v1', 'rialto.compliance.v1', 'rialto.ledger.v1', 'rialto.settlements.v1'
]) AS t, unnest(ARRAY['', '.dlq']) AS suffix;

CREATE TABLE bus.log (
    topic TEXT NOT NULL,
    partition INT NOT NULL,
    position BIGINT NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    event_id UUID NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    time TIMESTAMPTZ NOT NULL,
    sequence BIGINT NOT NULL,
    correlation_id TEXT NOT NULL,
    causation_id TEXT,
    traceparent TEXT,
    data JSON NOT NULL,
    CONSTRAINT log_pk PRIMARY KEY (topic, partition, position, recorded_at)
) PARTITION BY RANGE (recorded_at);

CREATE TABLE bus.log_default PARTITION OF bus.log DEFAULT;

-- Which member of a group reads which partition, and how far the group has got.
CREATE TABLE bus.cursors (
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INT NOT NULL,
    position BIGINT NOT NULL DEFAULT 0,
    owner TEXT,
    owned_until TIMESTAMPTZ,
    CONSTRAINT cursors_pk PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE bus.members (
    consumer_group TEXT NOT NULL,
    member TEXT NOT NULL,
    alive_until TIMESTAMPTZ NOT NULL,
    CONSTRAINT members_pk PRIMARY KEY (consumer_group, member)
);

-- In front of Kafka: who copies a service's topics there. `epoch` grows with each change of owner, `renewals` while it
-- lives: whoever sees both unchanged for the length of a lease takes over. So no two clocks need agree.
CREATE TABLE bus.relays (
    relay TEXT NOT NULL,
    owner TEXT,
    epoch BIGINT NOT NULL DEFAULT 0,
    renewals BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT relays_pk PRIMARY KEY (relay)
) WITH (fillfactor = 50);

-- How far a topic has been copied, over how many of Kafka's partitions its events are spread, and how many may wait
-- before new work is refused.
CREATE TABLE bus.relayed (
    topic TEXT NOT NULL,
    relay TEXT NOT NULL,
    published BIGINT NOT NULL DEFAULT 0,
    partitions INT,
    backlog_limit BIGINT NOT NULL,
    CONSTRAINT relayed_pk PRIMARY KEY (topic),
    CONSTRAINT relayed_topic FOREIGN KEY (topic) REFERENCES bus.topics,
    CONSTRAINT relayed_relay FOREIGN KEY (relay) REFERENCES bus.relays
) WITH (fillfactor = 50);

-- Since when a topic's events are spread over how many of Kafka's partitions: those after a position. Where an earlier
-- event lies can be told only with this.
CREATE TABLE bus.relayed_spreads (
    topic TEXT NOT NULL,
    after_position BIGINT NOT NULL,
    partitions INT NOT NULL,
    CONSTRAINT relayed_spreads_pk PRIMARY KEY (topic, after_position),
    CONSTRAINT relayed_spreads_topic FOREIGN KEY (topic) REFERENCES bus.relayed
);

GRANT SELECT, UPDATE (next_position) ON bus.topics
TO rialto_gateway, rialto_ledger, rialto_fraud, rialto_compliance, rialto_chain_bridge;
GRANT SELECT, INSERT ON bus.log
TO rialto_gateway, rialto_ledger, rialto_fraud, rialto_compliance, rialto_chain_bridge;
GRANT SELECT, INSERT, UPDATE ON bus.cursors
TO rialto_gateway, rialto_ledger, rialto_fraud, rialto_compliance, rialto_chain_bridge;
GRANT SELECT, INSERT, UPDATE, DELETE ON bus.members
TO rialto_gateway, rialto_ledger, rialto_fraud, rialto_compliance, rialto_chain_bridge;
GRANT SELECT, INSERT, UPDATE ON bus.relays, bus.relayed, bus.relayed_spreads
TO rialto_gateway, rialto_ledger, rialto_fraud, rialto_compliance, rialto_chain_bridge;
GRANT SELECT ON ALL TABLES IN SCHEMA bus TO rialto_auditor;

-- Put events into the log, in the order of the arrays. One statement a transaction, right before its commit: nothing
-- else is locked after the topic rows, and those are locked in name order, so appends cannot deadlock.
--
-- `p_admitting`: the transaction takes in new work, so it is refused when too many events already wait for Kafka. What
-- merely goes on with work that was taken in is never refused: it has promises to keep, and there is only so much of it.
CREATE FUNCTION bus.append(
    p_recorded_at TIMESTAMPTZ, p_topics TEXT[], p_event_ids UUID[], p_sources TEXT[], p_types TEXT[], p_keys TEXT[],
    p_shards SMALLINT[], p_times TIMESTAMPTZ[], p_sequences BIGINT[], p_correlations TEXT[], p_causations TEXT[],
    p_traceparents TEXT[], p_data TEXT[], p_admitting BOOLEAN DEFAULT FALSE
) RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
    v_topic TEXT;
    v_count BIGINT;
    v_first BIGINT;
    v_partitions INT;
    v_limit BIGINT;
BEGIN
    FOR v_topic, v_count IN SELECT t, count(*) FROM unnest(p_topics) AS t GROUP BY t ORDER BY t LOOP
        UPDATE bus.topics SET next_position = next_position + v_count WHERE topic = v_topic
        RETURNING next_position - v_count, partitions INTO v_first, v_partitions;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the bus has no topic %', v_topic USING ERRCODE = 'undefined_object';
        END IF;
        IF p_admitting THEN
            SELECT r.backlog_limit INTO v_limit FROM bus.relayed AS r
            WHERE r.topic = v_topic AND v_first + v_count - 1 - r.published > r.backlog_limit;
            IF FOUND THEN
                RAISE EXCEPTION 'more than % events of % wait for Kafka', v_limit, v_topic
                USING ERRCODE = 'configuration_limit_exceeded', CONSTRAINT = 'bus_backlog_limit';
            END IF;
        END IF;
        INSERT INTO bus.log (
            topic, partition, position, recorded_at, event_id, source, type, key, shard, time, sequence,
            correlation_id, causation_id, traceparent, data
        )
        SELECT
            v_topic, e.shard % v_partitions, v_first + row_number() OVER (ORDER BY e.ordinality) - 1, p_recorded_at,
            e.event_id, e.source, e.type, e.key, e.shard, e.time, e.sequence, e.correlation_id, e.causation_id,
            e.traceparent, e.data::JSON
        FROM unnest(
            p_topics, p_event_ids, p_sources, p_types, p_keys, p_shards, p_times, p_sequences, p_correlations,
            p_causations, p_traceparents, p_data
        ) WITH ORDINALITY AS e (
            topic, event_id, source, type, key, shard, time, sequence, correlation_id, causation_id, traceparent,
            data, ordinality
        )
        WHERE e.topic = v_topic;
    END LOOP;
END $$;

-- Join a group or stay in it, and return the partitions this member holds with the position each has reached.
-- Each member holds at most its fair share; a member that stalls loses its partitions when its lease ends. A lease that
-- ends later than any could was taken by a clock that was ahead: it binds nobody, or a member that died then would keep
-- its partitions for as long as its clock was wrong.
CREATE FUNCTION bus.claim(
    p_group TEXT, p_topics TEXT[], p_member TEXT, p_now TIMESTAMPTZ, p_lease_until TIMESTAMPTZ
) RETURNS TABLE (topic TEXT, partition INT, reached BIGINT) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_share INT;
    v_latest TIMESTAMPTZ := p_now + 2 * (p_lease_until - p_now);
BEGIN
    -- One rebalance of a group at a time: otherwise two members could both see too few partitions taken.
    PERFORM pg_advisory_xact_lock(hashtextextended('bus.claim/' || p_group, 0));
    INSERT INTO bus.members (consumer_group, member, alive_until) VALUES (p_group, p_member, p_lease_until)
    ON CONFLICT ON CONSTRAINT members_pk DO UPDATE SET alive_until = excluded.alive_until;
    DELETE FROM bus.members AS m
    WHERE m.consumer_group = p_group AND m.alive_until NOT BETWEEN p_now AND v_latest;
    INSERT INTO bus.cursors (consumer_group, topic, partition)
    SELECT p_group, t.topic, p FROM bus.topics AS t, generate_series(0, t.partitions - 1) AS p
    WHERE t.topic = ANY (p_topics)
    ON CONFLICT ON CONSTRAINT cursors_pk DO NOTHING;

    SELECT ceil(count(*)::NUMERIC / (SELECT count(*) FROM bus.members AS m WHERE m.consumer_group = p_group))
    INTO v_share FROM bus.cursors AS c WHERE c.consumer_group = p_group AND c.topic = ANY (p_topics);

    WITH held AS (
        SELECT c.topic, c.partition, row_number() OVER (ORDER BY c.partition, c.topic) AS nth
        FROM bus.cursors AS c
        WHERE c.consumer_group = p_group AND c.owner = p_member AND c.topic = ANY (p_topics)
    )
    UPDATE bus.cursors AS c
    SET owner = CASE WHEN h.nth <= v_share THEN p_member END,
        owned_until = CASE WHEN h.nth <= v_share THEN p_lease_until END
    FROM held AS h
    WHERE c.consumer_group = p_group AND c.topic = h.topic AND c.partition = h.partition;

    WITH free AS (
        SELECT c.topic, c.partition
        FROM bus.cursors AS c
        WHERE c.consumer_group = p_group AND c.topic = ANY (p_topics) AND c.owner IS DISTINCT FROM p_member
            AND (c.owner IS NULL OR c.owned_until NOT BETWEEN p_now AND v_latest)
        ORDER BY c.partition, c.topic
        LIMIT greatest(0, v_share - (
            SELECT count(*) FROM bus.cursors AS o
            WHERE o.consumer_group = p_group AND o.owner = p_member AND o.topic = ANY (p_topics)
        ))
    )
    UPDATE bus.cursors AS c SET owner = p_member, owned_until = p_lease_until
    FROM free AS f
    WHERE c.consumer_group = p_group AND c.topic = f.topic AND c.partition = f.partition;

    RETURN QUERY SELECT c.topic, c.partition, c.position FROM bus.cursors AS c
    WHERE c.consumer_group = p_group AND c.owner = p_member AND c.topic = ANY (p_topics)
    ORDER BY c.topic, c.partition;
END $$;

-- The smallest UUIDv7 of an instant: event ids carry their root's time, so tables keyed by them are cut by time.
CREATE FUNCTION bus.uuid_floor(p_at TIMESTAMPTZ) RETURNS UUID LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(floor(extract(EPOCH FROM p_at) * 1000)::BIGINT), 12, '0') || repeat('0', 20))::UUID
$$;

-- What each consuming service keeps in its own schema: the inbox (events handled), dead letters and their parked keys.
CREATE FUNCTION bus.create_consumer_tables(p_schema TEXT, p_role TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($ddl$
        CREATE TABLE %1$I.inbox (
            event_id UUID NOT NULL,
            source TEXT NOT NULL,
            handled_at TIMESTAMPTZ NOT NULL,
            CONSTRAINT inbox_pk PRIMARY KEY (event_id, source)
        ) PARTITION BY RANGE (event_id);
        CREATE TABLE %1$I.inbox_default PARTITION OF %1$I.inbox DEFAULT;
        CREATE TABLE %1$I.parked_keys (
            consumer_group TEXT NOT NULL,
            key TEXT NOT NULL,
            parked_at TIMESTAMPTZ NOT NULL,
            replay_requested BOOLEAN NOT NULL DEFAULT FALSE,
            CONSTRAINT parked_keys_pk PRIMARY KEY (consumer_group, key)
        );
        CREATE TABLE %1$I.dead_letters (
            consumer_group TEXT NOT NULL,
            key TEXT NOT NULL,
            sequence BIGINT GENERATED ALWAYS AS IDENTITY,
            parked_at TIMESTAMPTZ NOT NULL,
            error TEXT,
            event_id UUID NOT NULL,
            source TEXT NOT NULL,
            type TEXT NOT NULL,
            topic TEXT NOT NULL,
            shard SMALLINT NOT NULL,
            time TIMESTAMPTZ NOT NULL,
            event_sequence BIGINT NOT NULL,
            correlation_id TEXT NOT NULL,
            causation_id TEXT,
            traceparent TEXT,
            data TEXT NOT NULL,
            CONSTRAINT dead_letters_pk PRIMARY KEY (consumer_group, key, sequence),
            CONSTRAINT dead_letters_parked FOREIGN KEY (consumer_group, key) REFERENCES %1$I.parked_keys
        );
        GRANT SELECT, INSERT ON %1$I.inbox TO %2$I;
        GRANT SELECT, INSERT, UPDATE, DELETE ON %1$I.parked_keys, %1$I.dead_letters TO %2$I;
        GRANT SELECT ON %1$I.inbox, %1$I.parked_keys, %1$I.dead_letters TO rialto_auditor;
    $ddl$, p_schema, p_role);
END $$;

-- Create the coming days' partitions of a table and drop those past their retention. Rows that lie in the default
-- partition because their day had none yet, or has none any more, stay there, and go when they were written too long ago.
--
-- The inbox is cut by event id, whose first bits are the time of what the event is about: an event about an old account
-- is handled today and may be delivered again today. So a partition stays while anything in it was handled recently.
CREATE FUNCTION bus.maintain_table(p_schema TEXT, p_table TEXT, p_now TIMESTAMPTZ, p_days INT) RETURNS VOID
LANGUAGE plpgsql SET search_path = pg_catalog SET timezone = 'UTC' AS $$
DECLARE
    v_by_id BOOLEAN := p_table = 'inbox';
    v_written_at TEXT := CASE WHEN v_by_id THEN 'handled_at' ELSE 'recorded_at' END;
    v_oldest TIMESTAMPTZ := (p_now::DATE - p_days)::TIMESTAMP AT TIME ZONE 'UTC';
    v_day TIMESTAMPTZ;
    v_old TEXT;
    v_in_use BOOLEAN;
    -- However old an event is, it stays until every group that reads its partition has acknowledged it, and Kafka has it.
    v_unread TEXT := CASE WHEN v_by_id THEN 'FALSE' ELSE '(EXISTS (SELECT FROM bus.cursors AS c
        WHERE c.topic = t.topic AND c.partition = t.partition AND c.position < t.position)
        OR EXISTS (SELECT FROM bus.relayed AS r WHERE r.topic = t.topic AND r.published < t.position))' END;
BEGIN
    FOR v_day IN SELECT generate_series(p_now::DATE, p_now::DATE + 3, '1 day')::TIMESTAMP AT TIME ZONE 'UTC' LOOP
        BEGIN
            EXECUTE format(
                'CREATE TABLE IF NOT EXISTS %I.%I PARTITION OF %I.%I FOR VALUES FROM (%L) TO (%L)',
                p_schema, p_table || to_char(v_day, '_YYYYMMDD'), p_schema, p_table,
                CASE WHEN v_by_id THEN bus.uuid_floor(v_day)::TEXT ELSE v_day::TEXT END,
                CASE WHEN v_by_id THEN bus.uuid_floor(v_day + '1 day')::TEXT ELSE (v_day + '1 day')::TEXT END);
        EXCEPTION WHEN check_violation THEN NULL; -- the default partition holds rows of that day
        END;
    END LOOP;
    FOR v_old IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = format('%I.%I', p_schema, p_table)::REGCLASS
            AND c.relname ~ ('^' || p_table || '_[0-9]{8}$')
            AND to_date(right(c.relname, 8), 'YYYYMMDD') < v_oldest::DATE
    LOOP
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.%I AS t WHERE %I >= $1 OR %s)', p_schema, v_old, v_written_at, v_unread
        ) INTO v_in_use USING v_oldest;
        IF NOT v_in_use THEN
            EXECUTE format('DROP TABLE %I.%I', p_schema, v_old);
        END IF;
    END LOOP;
    EXECUTE format(
        'DELETE FROM %I.%I AS t WHERE %I < $1 AND NOT %s', p_schema, p_table || '_default', v_written_at, v_unread
    ) USING v_oldest;
END $$;

-- Maintain the inboxes and the log. Owned by the migrating role and run with its rights, so that services need none on
-- tables. The log comes last, as in a consumer's transaction: making a partition locks its table until the end.
CREATE FUNCTION bus.maintain(p_now TIMESTAMPTZ, p_log_days INT, p_inbox_days INT) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' AS $$
DECLARE
    v_schema TEXT;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('bus.maintain', 0));
    FOR v_schema IN SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relname = 'inbox' AND c.relkind = 'p' ORDER BY n.nspname LOOP
        PERFORM bus.maintain_table(v_schema, 'inbox', p_now, p_inbox_days);
    END LOOP;
    PERFORM bus.maintain_table('bus', 'log', p_now, p_log_days);
END $$;
REVOKE ALL ON FUNCTION bus.maintain_table(TEXT, TEXT, TIMESTAMPTZ, INT) FROM public;
REVOKE ALL ON FUNCTION bus.maintain(TIMESTAMPTZ, INT, INT) FROM public;
GRANT EXECUTE ON FUNCTION bus.maintain(TIMESTAMPTZ, INT, INT)
TO rialto_gateway, rialto_ledger, rialto_fraud, rialto_compliance, rialto_chain_bridge;
