-- The audit's questions. All run in one read-only snapshot, as the role rialto_auditor, whose only right is SELECT.
--
-- `-- check: I1 name` begins a question whose every row is a violation: its ids, what was expected, what was found. The
-- comment below says what a row means. `-- count: I1` says how much that invariant had to check. `-- facts: name` is
-- read by the Python beside this file. `-- fragment: name` is a CTE for those that say `-- uses: name`.
-- text_id('pay', column) is replaced by the text form of an id, `pay_…`, and number_in(json, 'field') by the number that
-- a field of an event holds, 0 where it holds none, as an event may be anything. Parameters: now, grace_seconds,
-- log_from (the time from which on the log is complete: -infinity until retention first drops a day), groups, topics,
-- types (what each consumer group handles), currencies, exponents (those whose minor unit is not a hundredth).

-- fragment: handles
-- What each consumer group handles.
SELECT h.consumer_group, h.topic, h.type
FROM unnest(%(groups)s::TEXT[], %(topics)s::TEXT[], %(types)s::TEXT[]) AS h (consumer_group, topic, type)

-- fragment: inboxes
-- Every event that a group has taken in; its effect is in the same transaction.
SELECT 'gateway' AS consumer_group, event_id, source, handled_at FROM gateway.inbox
UNION ALL
SELECT 'ledger', event_id, source, handled_at FROM ledger.inbox
UNION ALL
SELECT 'fraud', event_id, source, handled_at FROM fraud.inbox
UNION ALL
SELECT 'compliance', event_id, source, handled_at FROM compliance.inbox
UNION ALL
SELECT 'chain_bridge', event_id, source, handled_at FROM chain_bridge.inbox

-- fragment: letters
-- Every event that a group has taken in and set aside: it has had no effect yet.
SELECT consumer_group, event_id, source, type, topic, key, data, parked_at FROM gateway.dead_letters
UNION ALL
SELECT consumer_group, event_id, source, type, topic, key, data, parked_at FROM ledger.dead_letters
UNION ALL
SELECT consumer_group, event_id, source, type, topic, key, data, parked_at FROM fraud.dead_letters
UNION ALL
SELECT consumer_group, event_id, source, type, topic, key, data, parked_at FROM compliance.dead_letters
UNION ALL
SELECT consumer_group, event_id, source, type, topic, key, data, parked_at FROM chain_bridge.dead_letters

-- fragment: consumption
-- uses: handles inboxes letters
-- Every event in the log with each group that handles its type, and where it stands there: unread, parked or handled.
SELECT
    h.consumer_group, l.topic, l.partition, l.shard, l.position, l.recorded_at, l.event_id, l.source, l.type, l.key,
    l.sequence, l.data,
    CASE WHEN i.event_id IS NULL THEN 'unread' WHEN d.event_id IS NOT NULL THEN 'parked' ELSE 'handled' END AS standing
FROM handles AS h
JOIN bus.log AS l ON l.topic = h.topic AND l.type = h.type
LEFT JOIN inboxes AS i
    ON i.event_id = l.event_id AND i.source = l.source AND i.consumer_group = h.consumer_group
LEFT JOIN letters AS d
    ON d.event_id = l.event_id AND d.source = l.source AND d.consumer_group = h.consumer_group

-- fragment: spreads
-- Over how many of Kafka's partitions events are spread: those from one position to another, NULL where it goes on.
SELECT
    topic, after_position, partitions,
    lead(after_position) OVER (PARTITION BY topic ORDER BY after_position) AS up_to
FROM bus.relayed_spreads

-- fragment: unconsumed
-- uses: handles inboxes letters consumption
-- Events that have had no effect on a group yet, each once: unread ones, and parked ones even when the log forgot them.
SELECT DISTINCT ON (u.consumer_group, u.event_id, u.source)
    u.consumer_group, u.event_id, u.source, u.type, u.key, u.data
FROM (
    SELECT consumer_group, event_id, source, type, key, data FROM consumption WHERE standing = 'unread'
    UNION ALL
    SELECT consumer_group, event_id, source, type, key, data::JSON FROM letters
) AS u
ORDER BY u.consumer_group, u.event_id, u.source

-- fragment: kept
-- From which id on the journal is not archived. What the ledger books for a payment has the time of the payment's id, so
-- a payment's entries are archived all or none.
SELECT coalesce(
    (SELECT ids_before FROM ledger.archived_months ORDER BY month DESC LIMIT 1), '00000000-0000-0000-0000-000000000000'
) AS ids_from

-- fragment: totals
-- What each account's totals must be: recomputed from the postings, with what archived months had moved, and from the
-- holds that still reserve.
SELECT
    a.id, a.code, a.mode, a.currency, a.normal_side, a.minimum_available_minor, a.maximum_balance_minor,
    a.debits_minor, a.credits_minor, a.held_minor, coalesce(p.debits, 0) + coalesce(o.debits, 0) AS debits,
    coalesce(p.credits, 0) + coalesce(o.credits, 0) AS credits, coalesce(h.held, 0) AS held
FROM ledger.accounts AS a
LEFT JOIN (
    SELECT account_id, sum(debits_minor) AS debits, sum(credits_minor) AS credits
    FROM ledger.archived_totals GROUP BY account_id
) AS o ON o.account_id = a.id
LEFT JOIN (
    SELECT
        account_id, sum(amount_minor) FILTER (WHERE side = 'debit') AS debits,
        sum(amount_minor) FILTER (WHERE side = 'credit') AS credits
    FROM ledger.postings GROUP BY account_id
) AS p ON p.account_id = a.id
LEFT JOIN (
    SELECT account_id, sum(amount_minor - captured_minor - released_minor) AS held
    FROM ledger.holds WHERE status = 'pending' GROUP BY account_id
) AS h ON h.account_id = a.id

-- fragment: capture_entries
-- Every capture of a payment that the ledger has booked, and the fee that it took of it. Holds that the API placed belong to no payment, and the gateway
-- knows neither them nor their captures. What an acquirer captured names it, and comes to no hold.
SELECT
    e.id AS entry_id, e.payment_id, e.merchant_id, e.mode, e.recorded_at, e.metadata ->> 'capture_id' AS capture_id,
    e.metadata ->> 'acquirer' AS acquirer, p.amount - coalesce(f.amount, 0) AS amount, coalesce(f.amount, 0) AS fee, p.currency
FROM ledger.journal_entries AS e
LEFT JOIN (
    SELECT entry_id, sum(amount_minor) AS amount, min(currency) AS currency
    FROM ledger.postings WHERE side = 'credit' GROUP BY entry_id
) AS p ON p.entry_id = e.id
LEFT JOIN (
    SELECT p.entry_id, sum(p.amount_minor) AS amount
    FROM ledger.accounts AS a JOIN ledger.postings AS p ON p.account_id = a.id AND p.side = 'credit'
    WHERE a.code = 'fees:income' GROUP BY p.entry_id
) AS f ON f.entry_id = e.id
WHERE e.kind = 'capture' AND e.payment_id IS NOT NULL

-- fragment: refund_entries
-- Every refund of a payment that the ledger has booked for good; one at an acquirer waits in suspense before.
SELECT
    e.id AS entry_id, e.payment_id, e.recorded_at, e.metadata ->> 'refund_id' AS refund_id,
    e.metadata ->> 'acquirer' AS acquirer, p.amount, p.currency
FROM ledger.journal_entries AS e
LEFT JOIN (
    SELECT entry_id, sum(amount_minor) AS amount, min(currency) AS currency
    FROM ledger.postings WHERE side = 'credit' GROUP BY entry_id
) AS p ON p.entry_id = e.id
WHERE e.kind = 'refund' AND e.payment_id IS NOT NULL

-- fragment: settlement_entries
-- Every settlement that the ledger has booked, in both its currencies; it stands until an entry reverses it.
SELECT
    e.id AS entry_id, e.payment_id, e.mode, p.amount, p.currency, p.token_amount, p.token,
    EXISTS (SELECT FROM ledger.journal_entries AS r WHERE r.reverses = e.id) AS is_reversed
FROM ledger.journal_entries AS e
LEFT JOIN (
    SELECT
        p.entry_id,
        sum(p.amount_minor) FILTER (WHERE p.side = 'debit' AND a.code LIKE 'merchant:%%:payable') AS amount,
        min(p.currency) FILTER (WHERE p.side = 'debit' AND a.code LIKE 'merchant:%%:payable') AS currency,
        sum(p.amount_minor) FILTER (WHERE p.side = 'credit' AND a.code LIKE 'chain:%%:treasury') AS token_amount,
        min(p.currency) FILTER (WHERE p.side = 'credit' AND a.code LIKE 'chain:%%:treasury') AS token
    FROM ledger.postings AS p JOIN ledger.accounts AS a ON a.id = p.account_id
    GROUP BY p.entry_id
) AS p ON p.entry_id = e.id
WHERE e.kind = 'chain_settlement'

-- fragment: decimals
-- How many decimals an amount of each currency has; where it is not here, two.
SELECT d.currency, d.exponent FROM unnest(%(currencies)s::TEXT[], %(exponents)s::INT[]) AS d (currency, exponent)

-- facts: log_start
-- Whether anything is older than the log's retention, so that the log may have forgotten it.
SELECT coalesce(least(
    (SELECT min(created_at) FROM gateway.merchants), (SELECT min(opened_at) FROM ledger.accounts),
    (SELECT min(recorded_at) FROM bus.log)
) < %(retained_from)s, FALSE) AS has_forgotten

-- count: I1
SELECT count(*) FROM ledger.journal_entries

-- check: I1 unbalanced_entry
-- a journal entry's debits and credits differ
SELECT
    jsonb_build_object('entry_id', text_id('je', entry_id)) AS ids, 'a difference of 0 ' || currency AS expected,
    sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) || ' ' || currency AS found
FROM ledger.postings
GROUP BY entry_id, currency
HAVING sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) <> 0

-- check: I1 entry_without_postings
-- a journal entry has fewer than two postings
SELECT
    jsonb_build_object('entry_id', text_id('je', e.id), 'kind', e.kind) AS ids, 'two postings or more' AS expected,
    coalesce(p.postings, 0) || ' postings' AS found
FROM ledger.journal_entries AS e
LEFT JOIN (SELECT entry_id, count(*) AS postings FROM ledger.postings GROUP BY entry_id) AS p ON p.entry_id = e.id
WHERE coalesce(p.postings, 0) < 2

-- check: I1 stray_posting
-- a posting belongs to no entry, or to no account of its currency and mode
SELECT
    jsonb_build_object('entry_id', text_id('je', p.entry_id), 'account_id', text_id('acc', p.account_id)) AS ids,
    'an entry, and an account in ' || p.currency AS expected,
    CASE WHEN e.id IS NULL THEN 'no such entry' ELSE coalesce('an account in ' || a.mode || ' ' || a.currency, 'no such account') END
    AS found
FROM ledger.postings AS p
LEFT JOIN ledger.journal_entries AS e ON e.id = p.entry_id
LEFT JOIN ledger.accounts AS a ON a.id = p.account_id
WHERE e.id IS NULL OR a.id IS NULL OR a.currency <> p.currency OR a.mode <> e.mode

-- count: I2
SELECT count(*) FROM ledger.accounts

-- check: I2 below_limit
-- uses: totals
-- an account's available balance, recomputed, is below its limit
SELECT
    jsonb_build_object('account', t.code, 'mode', t.mode) AS ids,
    'at least ' || t.minimum_available_minor || ' ' || t.currency AS expected,
    (CASE t.normal_side WHEN 'credit' THEN t.credits - t.debits ELSE t.debits - t.credits END - t.held)
    || ' ' || t.currency AS found
FROM totals AS t
WHERE CASE t.normal_side WHEN 'credit' THEN t.credits - t.debits ELSE t.debits - t.credits END - t.held
    < t.minimum_available_minor

-- check: I2 above_maximum
-- uses: totals
-- an account's ledger balance, recomputed, is above its maximum
SELECT
    jsonb_build_object('account', t.code, 'mode', t.mode) AS ids,
    'at most ' || t.maximum_balance_minor || ' ' || t.currency AS expected,
    CASE t.normal_side WHEN 'credit' THEN t.credits - t.debits ELSE t.debits - t.credits END || ' ' || t.currency AS found
FROM totals AS t
WHERE CASE t.normal_side WHEN 'credit' THEN t.credits - t.debits ELSE t.debits - t.credits END > t.maximum_balance_minor

-- check: I2 wrong_totals
-- uses: totals
-- an account's stored totals are not what its postings and holds add up to
SELECT
    jsonb_build_object('account', t.code, 'mode', t.mode) AS ids,
    format('debits %%s, credits %%s, held %%s %%s', t.debits, t.credits, t.held, t.currency) AS expected,
    format('debits %%s, credits %%s, held %%s %%s', t.debits_minor, t.credits_minor, t.held_minor, t.currency) AS found
FROM totals AS t
WHERE (t.debits_minor, t.credits_minor, t.held_minor) IS DISTINCT FROM (t.debits, t.credits, t.held)

-- check: I2 stray_hold
-- a hold reserves money on no account of its currency and mode
SELECT
    jsonb_build_object('hold_id', text_id('hold', h.id), 'payment_id', text_id('pay', h.payment_id)) AS ids,
    'an account in ' || h.mode || ' ' || h.currency AS expected,
    coalesce('an account in ' || a.mode || ' ' || a.currency, 'no such account') AS found
FROM ledger.holds AS h
LEFT JOIN ledger.accounts AS a ON a.id = h.account_id
WHERE h.status = 'pending' AND (a.id IS NULL OR a.currency <> h.currency OR a.mode <> h.mode)

-- check: I2 hold_not_as_captured
-- uses: kept capture_entries
-- what a hold says was captured from it is not what the journal says
SELECT
    jsonb_build_object('payment_id', text_id('pay', x.payment_id)) AS ids, x.captured || ' by the journal' AS expected,
    x.held || ' by its hold' AS found
FROM (
    SELECT
        coalesce(h.payment_id, c.payment_id) AS payment_id, coalesce(h.captured_minor, 0) AS held,
        coalesce(c.captured, 0) AS captured
    FROM (
        SELECT payment_id, sum(captured_minor) AS captured_minor
        FROM ledger.holds WHERE payment_id IS NOT NULL GROUP BY payment_id
    ) AS h
    FULL JOIN (
        SELECT payment_id, sum(amount) AS captured FROM capture_entries WHERE acquirer IS NULL GROUP BY payment_id
    ) AS c
        ON c.payment_id = h.payment_id
) AS x
WHERE x.held <> x.captured AND x.payment_id >= (SELECT ids_from FROM kept)

-- check: I2 api_hold_not_as_captured
-- what a hold of the API's says was captured from it is not what the journal says
SELECT
    jsonb_build_object('hold_id', coalesce(h.hold_id, c.hold_id)) AS ids,
    coalesce(c.captured, 0) || ' by the journal' AS expected, coalesce(h.captured_minor || ' by its hold', 'no hold') AS found
FROM (
    SELECT text_id('hold', id) AS hold_id, captured_minor, placed_at FROM ledger.holds WHERE payment_id IS NULL
) AS h
FULL JOIN (
    SELECT e.metadata ->> 'hold_id' AS hold_id, sum(p.amount_minor) AS captured
    FROM ledger.journal_entries AS e
    JOIN ledger.postings AS p ON p.entry_id = e.id AND p.side = 'debit'
    WHERE e.kind = 'capture' AND e.payment_id IS NULL
    GROUP BY 1
) AS c ON c.hold_id = h.hold_id
WHERE h.captured_minor IS DISTINCT FROM coalesce(c.captured, 0)
    -- An older one's captures may be archived.
    AND coalesce(h.placed_at > (SELECT max(last_recorded_at) FROM ledger.archived_months), TRUE)

-- check: I2 status_differs
-- an account's status is not the last one that was written down with its reason
SELECT
    jsonb_build_object('account', a.code, 'mode', a.mode) AS ids, coalesce(c.status, 'open') AS expected,
    a.status AS found
FROM ledger.accounts AS a
LEFT JOIN (
    SELECT DISTINCT ON (account_id) account_id, status
    FROM ledger.account_status_changes ORDER BY account_id, sequence DESC
) AS c ON c.account_id = a.id
WHERE a.status <> coalesce(c.status, 'open')

-- check: I2 chain_broken
-- a shard's chain has a gap, one place twice, or another end than its head says
-- Whether each hash is right is for `rialto ledger verify` to say.
SELECT
    jsonb_build_object('shard', coalesce(h.shard, e.shard)) AS ids,
    format(
        '%%s links, ending in %%s', coalesce(h.position, 0), coalesce(encode(h.hash, 'hex'), 'the genesis')
    ) AS expected,
    format(
        '%%s places in %%s links, up to %%s, ending in %%s', coalesce(e.places, 0), coalesce(e.links, 0),
        coalesce(e.last, 0), coalesce(encode(l.hash, 'hex'), 'nothing')
    ) AS found
FROM ledger.chain_heads AS h
FULL JOIN (
    SELECT
        shard, count(*) AS links, count(DISTINCT chain_position) AS places,
        max(chain_position) AS last
    FROM ledger.chain_links GROUP BY shard
) AS e ON e.shard = h.shard
LEFT JOIN LATERAL (
    SELECT hash FROM ledger.chain_links WHERE shard = h.shard AND chain_position = h.position LIMIT 1
) AS l ON TRUE
WHERE (coalesce(e.links, 0), coalesce(e.places, 0), coalesce(e.last, 0))
    IS DISTINCT FROM (h.position, h.position, h.position)
    OR h.hash IS DISTINCT FROM l.hash

-- count: I3
SELECT count(*) FROM gateway.payments

-- check: I3 no_deadline
-- a payment that is not final has no deadline, or not the one of its deadline row
SELECT
    jsonb_build_object('payment_id', text_id('pay', p.payment_id), 'state', p.state) AS ids,
    coalesce('a row for ' || p.deadline_at, 'a deadline') AS expected, coalesce('a row for ' || d.due_at, 'no row') AS found
FROM gateway.payments AS p
LEFT JOIN gateway.deadlines AS d ON d.payment_id = p.payment_id
WHERE p.state NOT IN ('settled', 'declined', 'voided', 'expired', 'failed')
    AND (p.deadline_at IS NULL OR d.due_at IS DISTINCT FROM p.deadline_at)

-- check: I3 stray_deadline
-- a deadline waits for a payment that is final or does not exist
SELECT
    jsonb_build_object('payment_id', text_id('pay', d.payment_id)) AS ids, 'no deadline' AS expected,
    'due at ' || d.due_at || ', ' || coalesce('the payment is ' || p.state, 'no such payment') AS found
FROM gateway.deadlines AS d
LEFT JOIN gateway.payments AS p ON p.payment_id = d.payment_id
WHERE p.payment_id IS NULL OR p.state IN ('settled', 'declined', 'voided', 'expired', 'failed') OR p.deadline_at IS NULL

-- check: I3 overdue
-- heals: the sweeper may be catching up
-- a payment's deadline has passed and nothing came of it
SELECT
    jsonb_build_object('payment_id', text_id('pay', d.payment_id)) AS ids, 'handled at ' || d.due_at AS expected,
    'still waiting at ' || %(now)s::TIMESTAMPTZ AS found
FROM gateway.deadlines AS d
WHERE d.due_at < %(now)s::TIMESTAMPTZ - make_interval(secs => %(grace_seconds)s)

-- check: I3 payout_overdue
-- heals: the clock that counts payouts may be catching up
-- a payout's deadline has passed and it was not counted again
SELECT
    jsonb_build_object('payout_id', text_id('po', payout_id)) AS ids, 'counted at ' || deadline_at AS expected,
    'still ' || state || ' at ' || %(now)s::TIMESTAMPTZ AS found
FROM gateway.payouts
WHERE deadline_at < %(now)s::TIMESTAMPTZ - make_interval(secs => %(grace_seconds)s)

-- check: I3 dispute_overdue
-- heals: the desk that asks about disputes may be catching up
-- a dispute is open and nobody asks how it stands
SELECT
    jsonb_build_object('dispute_id', text_id('dp', dispute_id)) AS ids, 'asked about at ' || due_at AS expected,
    'still ' || state || ' at ' || %(now)s::TIMESTAMPTZ AS found
FROM gateway.disputes
WHERE due_at < %(now)s::TIMESTAMPTZ - make_interval(secs => %(grace_seconds)s)

-- check: I3 attempt_overdue
-- heals: the worker that asks acquirers may be catching up
-- an attempt at an acquirer should have been sent or asked about, and nobody did
-- An increment, capture or void waits for those of its payment that were asked for before it.
SELECT
    jsonb_build_object(
        'attempt_id', text_id('att', a.attempt_id), 'payment_id', text_id('pay', a.payment_id), 'state', a.state
    ) AS ids, 'asked about at ' || a.due_at AS expected, 'still waiting at ' || %(now)s::TIMESTAMPTZ AS found
FROM gateway.attempts AS a
WHERE a.due_at < %(now)s::TIMESTAMPTZ - make_interval(secs => %(grace_seconds)s) AND NOT (
    a.state = 'queued' AND a.step IN ('increment', 'capture', 'void') AND EXISTS (
        SELECT FROM gateway.attempts AS b
        WHERE b.payment_id = a.payment_id AND b.step IN ('increment', 'capture', 'void') AND b.due_at IS NOT NULL
            AND (b.created_at, b.step, b.ordinal) < (a.created_at, a.step, a.ordinal)
    )
)

-- check: I3 created_not_told
-- an accepted payment has no payment.created event in the log
SELECT
    jsonb_build_object('payment_id', text_id('pay', p.payment_id), 'state', p.state) AS ids,
    'one payment.created event' AS expected, 'none' AS found
FROM gateway.payments AS p
LEFT JOIN bus.log AS l
    ON l.topic = 'rialto.payments.v1' AND l.key = text_id('pay', p.payment_id)
    AND l.type IN ('rialto.payment.created.v1', 'rialto.payment.created.v2')
WHERE l.event_id IS NULL AND p.created_at >= %(log_from)s::TIMESTAMPTZ

-- check: I3 lost_payment
-- a payment that was accepted, as the log and the timeline tell, is not there any more
SELECT jsonb_build_object('payment_id', x.payment_id) AS ids, 'a payment' AS expected, 'none' AS found
FROM (
    SELECT CASE l.type WHEN 'rialto.acquirer.settled.v1' THEN l.data ->> 'payment_id' ELSE l.key END AS payment_id
    FROM bus.log AS l
    WHERE l.topic = 'rialto.payments.v1' AND l.source = 'rialto.gateway'
        AND l.type <> 'rialto.payment_totals.reported.v1' AND l.type NOT LIKE 'rialto.payout.%%'
    UNION
    SELECT text_id('pay', t.payment_id) FROM gateway.timeline AS t WHERE t.nth = 1
) AS x
LEFT JOIN gateway.payments AS p ON text_id('pay', p.payment_id) = x.payment_id
WHERE p.payment_id IS NULL

-- check: I3 timeline_differs
-- a payment's state is not the last one of its timeline, or its timeline does not begin with its creation
SELECT
    jsonb_build_object('payment_id', text_id('pay', p.payment_id)) AS ids,
    p.state || ', from created on' AS expected,
    CASE
        WHEN t.last IS NULL THEN 'no timeline'
        ELSE format('%%s, from %%s on, lines %%s to %%s of %%s', t.last, t.first, t.oldest, t.newest, p.sequence)
    END AS found
FROM gateway.payments AS p
LEFT JOIN (
    SELECT
        payment_id, min(nth) AS oldest, max(nth) AS newest, (array_agg(state ORDER BY nth DESC))[1] AS last,
        (array_agg(state ORDER BY nth))[1] AS first
    FROM gateway.timeline GROUP BY payment_id
) AS t ON t.payment_id = p.payment_id
WHERE t.last IS DISTINCT FROM p.state OR t.first <> 'created' OR t.oldest <> 1 OR t.newest > p.sequence

-- count: I4
SELECT
    (SELECT count(*) FROM ledger.holds) + (SELECT count(*) FROM ledger.journal_entries)
    + (SELECT count(*) FROM chain_bridge.intents)

-- check: I4 payment_accepted_twice
-- one idempotency key has made several payments, or one payment id stands several times
SELECT
    jsonb_build_object('payment_ids', jsonb_agg(text_id('pay', p.payment_id)), 'idempotency_key', p.idempotency_key)
    AS ids, 'one payment' AS expected, count(*) || ' payments' AS found
FROM gateway.payments AS p
GROUP BY p.merchant_id, p.mode, p.idempotency_key
HAVING count(*) > 1

-- check: I4 identity_twice
-- one identity stands several times where it may stand once
SELECT
    jsonb_build_object('id', x.id, 'table', x.name) AS ids, 'once' AS expected, count(*) || ' times' AS found
FROM (
    SELECT 'gateway.payments' AS name, payment_id AS id FROM gateway.payments
    UNION ALL
    SELECT 'gateway.captures', capture_id FROM gateway.captures
    UNION ALL
    SELECT 'gateway.refunds', refund_id FROM gateway.refunds
    UNION ALL
    SELECT 'gateway.attempts', attempt_id FROM gateway.attempts
    UNION ALL
    SELECT 'ledger.journal_entries', id FROM ledger.journal_entries
    UNION ALL
    SELECT 'ledger.holds', id FROM ledger.holds
    UNION ALL
    SELECT 'chain_bridge.intents', payment_id FROM chain_bridge.intents
) AS x
GROUP BY x.name, x.id
HAVING count(*) > 1

-- check: I4 two_holds
-- a payment has more than one hold
SELECT
    jsonb_build_object('payment_id', text_id('pay', payment_id)) AS ids, 'at most one hold' AS expected,
    count(*) || ' holds' AS found
FROM ledger.holds WHERE payment_id IS NOT NULL GROUP BY payment_id HAVING count(*) > 1

-- check: I4 captured_twice
-- uses: capture_entries
-- one capture is in the journal more than once
SELECT
    jsonb_build_object('capture_id', capture_id, 'payment_id', text_id('pay', payment_id)) AS ids,
    'one capture entry' AS expected, entries || ' capture entries' AS found
FROM (
    SELECT capture_id, payment_id, count(*) AS entries FROM capture_entries GROUP BY capture_id, payment_id
) AS c
WHERE entries > 1

-- check: I4 captured_above_hold
-- uses: capture_entries
-- more was captured of a payment than was held for it, by the ledger or an acquirer
SELECT
    jsonb_build_object('payment_id', text_id('pay', c.payment_id)) AS ids,
    'at most ' || coalesce(h.amount_minor, g.amount_minor, 0) AS expected, c.captured || ' ' || c.currency AS found
FROM (
    SELECT payment_id, sum(amount) AS captured, min(currency) AS currency FROM capture_entries GROUP BY payment_id
) AS c
LEFT JOIN (
    SELECT payment_id, max(amount_minor) AS amount_minor FROM ledger.holds WHERE status <> 'refused' GROUP BY payment_id
) AS h ON h.payment_id = c.payment_id
LEFT JOIN gateway.payments AS g ON g.payment_id = c.payment_id AND g.connector IS NOT NULL
WHERE c.captured > coalesce(h.amount_minor, g.amount_minor, 0)

-- check: I4 capture_never_asked_for
-- uses: capture_entries
-- the ledger has booked a capture that the gateway does not know, or another amount of it
SELECT
    jsonb_build_object('entry_id', text_id('je', c.entry_id), 'capture_id', c.capture_id) AS ids,
    coalesce(g.amount_minor::TEXT, 'no capture') AS expected, c.amount || ' ' || c.currency AS found
FROM capture_entries AS c
LEFT JOIN gateway.captures AS g ON text_id('cap', g.capture_id) = c.capture_id AND g.payment_id = c.payment_id
WHERE g.capture_id IS NULL OR g.amount_minor <> c.amount

-- check: I4 refunded_twice
-- uses: refund_entries
-- one refund is in the journal more than once
SELECT
    jsonb_build_object('refund_id', r.refund_id, 'payment_id', text_id('pay', r.payment_id)) AS ids,
    'one refund entry' AS expected, r.entries || ' refund entries' AS found
FROM (SELECT refund_id, payment_id, count(*) AS entries FROM refund_entries GROUP BY refund_id, payment_id) AS r
WHERE r.entries > 1

-- check: I4 refunded_above_captured
-- uses: capture_entries refund_entries
-- more of a payment was refunded than was captured
SELECT
    jsonb_build_object('payment_id', text_id('pay', r.payment_id)) AS ids,
    'at most ' || coalesce(c.captured, 0) AS expected, r.refunded || ' ' || r.currency AS found
FROM (
    SELECT payment_id, sum(amount) AS refunded, min(currency) AS currency FROM refund_entries GROUP BY payment_id
) AS r
LEFT JOIN (SELECT payment_id, sum(amount) AS captured FROM capture_entries GROUP BY payment_id) AS c
    ON c.payment_id = r.payment_id
WHERE r.refunded > coalesce(c.captured, 0)

-- check: I4 refund_never_asked_for
-- uses: refund_entries
-- the ledger has booked a refund that the gateway does not know, or another amount of it
SELECT
    jsonb_build_object('entry_id', text_id('je', r.entry_id), 'refund_id', r.refund_id) AS ids,
    coalesce(g.amount_minor::TEXT, 'no refund') AS expected, r.amount || ' ' || r.currency AS found
FROM refund_entries AS r
LEFT JOIN gateway.refunds AS g ON text_id('re', g.refund_id) = r.refund_id AND g.payment_id = r.payment_id
WHERE g.refund_id IS NULL OR g.amount_minor <> r.amount

-- check: I4 settled_twice
-- a payment's settlement stands more than once in the ledger, or was taken back more often than it was given
SELECT
    jsonb_build_object('payment_id', text_id('pay', payment_id)) AS ids, 'at most one that stands' AS expected,
    format('%%s settlements, %%s reversals', given, taken) AS found
FROM (
    SELECT
        payment_id, count(*) FILTER (WHERE kind = 'chain_settlement') AS given,
        count(*) FILTER (WHERE kind = 'chain_settlement_reversal') AS taken
    FROM ledger.journal_entries
    WHERE kind IN ('chain_settlement', 'chain_settlement_reversal') GROUP BY payment_id
) AS s
WHERE given - taken NOT IN (0, 1)

-- check: I4 reversed_wrongly
-- a reversal does not undo exactly one entry, once
SELECT
    jsonb_build_object('entry_id', text_id('je', r.id), 'reverses', text_id('je', r.reverses)) AS ids,
    'the postings of one entry, sides changed, once' AS expected,
    format('%%s of %%s postings undone, reversed %%s times', r.undone, r.postings, r.times) AS found
FROM (
    SELECT
        e.id, e.reverses,
        (SELECT count(*) FROM ledger.postings AS p WHERE p.entry_id = e.reverses) AS postings,
        (SELECT count(*) FROM ledger.postings AS p WHERE p.entry_id = e.id) AS own,
        (
            SELECT count(*) FROM ledger.postings AS p JOIN ledger.postings AS o ON o.entry_id = e.reverses
                AND o.line = p.line AND o.account_id = p.account_id AND o.side <> p.side
                AND o.amount_minor = p.amount_minor AND o.currency = p.currency
            WHERE p.entry_id = e.id
        ) AS undone,
        count(*) OVER (PARTITION BY e.reverses) AS times
    FROM ledger.journal_entries AS e
    WHERE e.reverses IS NOT NULL OR e.kind LIKE '%%reversal'
) AS r
WHERE r.reverses IS NULL OR r.undone <> r.postings OR r.own <> r.postings OR r.times <> 1 OR r.postings = 0

-- check: I4 settlement_record_differs
-- uses: kept settlement_entries
-- what the ledger remembers of a payment's settlement is not what its journal says
SELECT
    jsonb_build_object('payment_id', text_id('pay', x.payment_id)) AS ids,
    coalesce('posted by ' || text_id('je', x.standing), 'none that stands') AS expected,
    coalesce(x.status || ' by ' || text_id('je', x.remembered), 'nothing remembered') AS found
FROM (
    SELECT
        coalesce(s.payment_id, e.payment_id) AS payment_id, s.status, s.entry_id AS remembered, e.entry_id AS standing
    FROM ledger.settlements AS s
    FULL JOIN (SELECT payment_id, entry_id FROM settlement_entries WHERE NOT is_reversed) AS e
        ON e.payment_id = s.payment_id
) AS x
WHERE x.payment_id >= (SELECT ids_from FROM kept)
    AND CASE x.status WHEN 'posted' THEN x.remembered IS DISTINCT FROM x.standing ELSE x.standing IS NOT NULL END

-- check: I4 settled_not_as_captured
-- uses: capture_entries settlement_entries decimals
-- a settlement in the ledger is not of the amount that was captured less its fees, in the currency or in the token
SELECT
    jsonb_build_object('entry_id', text_id('je', x.entry_id), 'payment_id', text_id('pay', x.payment_id)) AS ids,
    format('%%s %%s, as %%s %%s', x.captured, x.currency, x.scaled, x.token) AS expected,
    format('%%s %%s, as %%s %%s', x.amount, x.currency, x.token_amount, x.token) AS found
FROM (
    SELECT
        s.*, coalesce(c.captured, 0) AS captured,
        trunc(coalesce(c.captured, 0) * power(10::NUMERIC, dep.token_decimals - coalesce(d.exponent, 2))) AS scaled
    FROM settlement_entries AS s
    LEFT JOIN (SELECT payment_id, sum(amount - fee) AS captured FROM capture_entries GROUP BY payment_id) AS c
        ON c.payment_id = s.payment_id
    LEFT JOIN chain_bridge.deployments AS dep ON dep.token = s.token
    LEFT JOIN decimals AS d ON d.currency = s.currency
) AS x
WHERE x.amount IS DISTINCT FROM x.captured OR x.token_amount IS DISTINCT FROM x.scaled

-- check: I4 asked_to_pay_otherwise
-- uses: decimals
-- the chain-bridge was asked to pay something else than what was captured less its fees, or somebody else
SELECT
    jsonb_build_object('payment_id', text_id('pay', i.payment_id)) AS ids,
    format(
        '%%s %%s to %%s', coalesce(p.amount_captured_minor - p.fee_minor, 0), coalesce(p.currency, i.currency),
        coalesce(lower(p.payee_address), 'nobody: no such payment')
    ) AS expected, format('%%s %%s to %%s, %%s on chain', i.amount_minor, i.currency, i.payee_address, i.token_amount) AS found
FROM chain_bridge.intents AS i
LEFT JOIN gateway.payments AS p ON p.payment_id = i.payment_id
LEFT JOIN chain_bridge.deployments AS dep ON dep.chain_id = i.chain_id
LEFT JOIN decimals AS d ON d.currency = i.currency
WHERE p.payment_id IS NULL OR i.amount_minor <> p.amount_captured_minor - p.fee_minor OR i.currency <> p.currency
    OR i.mode <> p.mode
    OR (i.failure_code IS NULL AND (
        lower(i.payee_address) <> lower(p.payee_address)
        OR i.token_amount <> trunc(i.amount_minor * power(10::NUMERIC, dep.token_decimals - coalesce(d.exponent, 2)))
    ))

-- count: I5
SELECT count(*) FROM ledger.accounts

-- check: I5 sum_of_postings
-- all postings of a currency do not add up to 0
SELECT
    jsonb_build_object('currency', p.currency, 'mode', e.mode) AS ids, '0 ' || p.currency AS expected,
    sum(CASE p.side WHEN 'debit' THEN p.amount_minor ELSE -p.amount_minor END) || ' ' || p.currency AS found
FROM ledger.postings AS p
LEFT JOIN ledger.journal_entries AS e ON e.id = p.entry_id
GROUP BY p.currency, e.mode
HAVING sum(CASE p.side WHEN 'debit' THEN p.amount_minor ELSE -p.amount_minor END) <> 0

-- check: I5 sum_of_accounts
-- the stored totals of all accounts of a currency do not add up to 0
SELECT
    jsonb_build_object('currency', currency, 'mode', mode) AS ids, '0 ' || currency AS expected,
    sum(debits_minor - credits_minor) || ' ' || currency AS found
FROM ledger.accounts GROUP BY currency, mode HAVING sum(debits_minor - credits_minor) <> 0

-- count: I7
SELECT
    (SELECT count(*) FROM gateway.payments)
    + (SELECT count(*) FROM (SELECT DISTINCT merchant_id, mode, currency FROM gateway.payments) AS m)

-- check: I7 payment_total_differs
-- uses: kept handles inboxes letters consumption unconsumed capture_entries
-- what the gateway says was captured of a payment is not what the ledger has booked, less what the gateway has yet to hear
SELECT
    jsonb_build_object('payment_id', text_id('pay', x.payment_id)) AS ids,
    format('%%s by the ledger, less %%s on the way', x.booked, coalesce(u.amount, 0)) AS expected,
    x.captured || ' by the gateway' AS found
FROM (
    SELECT
        coalesce(p.payment_id, c.payment_id) AS payment_id, coalesce(p.amount_captured_minor, 0) AS captured,
        coalesce(c.booked, 0) AS booked
    FROM gateway.payments AS p
    FULL JOIN (SELECT payment_id, sum(amount) AS booked FROM capture_entries GROUP BY payment_id) AS c
        ON c.payment_id = p.payment_id
) AS x
LEFT JOIN (
    SELECT data ->> 'payment_id' AS key, sum(number_in(data, 'amount_minor')) AS amount
    FROM unconsumed
    WHERE consumer_group = 'gateway' AND type IN ('rialto.hold.captured.v1', 'rialto.capture.booked.v1')
    GROUP BY 1
) AS u ON u.key = text_id('pay', x.payment_id)
WHERE x.captured <> x.booked - coalesce(u.amount, 0) AND x.payment_id >= (SELECT ids_from FROM kept)

-- check: I7 capture_differs
-- uses: kept handles inboxes letters consumption unconsumed capture_entries
-- a capture that succeeded is not in the ledger, or one in the ledger did not succeed and nothing is on the way
SELECT
    jsonb_build_object('capture_id', x.capture_id, 'payment_id', text_id('pay', x.payment_id)) AS ids,
    coalesce(x.booked || ' booked', 'nothing booked') AS expected, x.amount_minor || ' ' || x.state AS found
FROM (
    SELECT g.payment_id, text_id('cap', g.capture_id) AS capture_id, g.amount_minor, g.state, c.amount AS booked
    FROM gateway.captures AS g
    LEFT JOIN capture_entries AS c ON c.capture_id = text_id('cap', g.capture_id)
) AS x
LEFT JOIN (
    SELECT data ->> 'capture_id' AS capture_id
    FROM unconsumed WHERE consumer_group = 'gateway' AND type IN ('rialto.hold.captured.v1', 'rialto.capture.booked.v1')
) AS u ON u.capture_id = x.capture_id
WHERE CASE x.state
    WHEN 'succeeded' THEN x.booked IS DISTINCT FROM x.amount_minor
    WHEN 'pending' THEN x.booked IS NOT NULL AND u.capture_id IS NULL
    ELSE x.booked IS NOT NULL
END AND x.payment_id >= (SELECT ids_from FROM kept)

-- check: I7 amount_not_as_held
-- uses: handles inboxes letters consumption unconsumed
-- a wallet's payment comes to another amount than the ledger holds or held for it, and no increment is on the way
SELECT
    jsonb_build_object('payment_id', text_id('pay', p.payment_id)) AS ids, h.amount_minor || ' held' AS expected,
    p.amount_minor || coalesce(', ' || u.amount || ' on the way', '') AS found
FROM gateway.payments AS p
JOIN ledger.holds AS h
    ON h.payment_id = p.payment_id AND h.account_id IS NOT NULL AND h.status <> 'refused'
LEFT JOIN (
    SELECT data ->> 'payment_id' AS key, max(number_in(data, 'amount_minor')) AS amount
    FROM unconsumed WHERE consumer_group = 'gateway' AND type = 'rialto.hold.increased.v1' GROUP BY 1
) AS u ON u.key = text_id('pay', p.payment_id)
WHERE h.amount_minor <> coalesce(u.amount, p.amount_minor)

-- check: I7 payment_not_as_its_increments
-- what a payment comes to, or is being raised to, is not what its increments say
SELECT
    jsonb_build_object('payment_id', text_id('pay', p.payment_id)) AS ids,
    format('%%s, raised to %%s', coalesce(i.succeeded, p.amount_assessed_minor), coalesce(i.pending::TEXT, 'no more'))
    AS expected,
    format('%%s, raised to %%s', p.amount_minor, coalesce(p.increment_to_minor::TEXT, 'no more')) AS found
FROM gateway.payments AS p
LEFT JOIN (
    SELECT
        payment_id, count(*) AS increments, max(amount_minor) FILTER (WHERE state = 'succeeded') AS succeeded,
        max(amount_minor) FILTER (WHERE state = 'pending') AS pending
    FROM gateway.increments GROUP BY payment_id
) AS i ON i.payment_id = p.payment_id
WHERE (p.increments > 0 OR i.increments > 0) AND (
    p.increments <> coalesce(i.increments, 0)
    OR p.amount_minor <> coalesce(i.succeeded, p.amount_assessed_minor)
    OR p.increment_to_minor IS DISTINCT FROM i.pending
)

-- check: I7 payment_not_as_its_captures
-- a payment's captured and pending totals are not those of its captures
SELECT
    jsonb_build_object('payment_id', text_id('pay', p.payment_id)) AS ids,
    format('captured %%s, pending %%s', coalesce(c.succeeded, 0), coalesce(c.pending, 0)) AS expected,
    format('captured %%s, pending %%s', p.amount_captured_minor, p.capture_pending_minor) AS found
FROM gateway.payments AS p
LEFT JOIN (
    SELECT
        payment_id, sum(amount_minor) FILTER (WHERE state = 'succeeded') AS succeeded,
        sum(amount_minor) FILTER (WHERE state = 'pending') AS pending
    FROM gateway.captures GROUP BY payment_id
) AS c ON c.payment_id = p.payment_id
WHERE (p.amount_captured_minor, p.capture_pending_minor)
    IS DISTINCT FROM (coalesce(c.succeeded, 0), coalesce(c.pending, 0))

-- check: I7 merchant_total_differs
-- uses: kept handles inboxes letters consumption unconsumed
-- a merchant's captured total at the gateway is not what the ledger owes it, less what the gateway has yet to hear
SELECT
    jsonb_build_object('merchant_id', text_id('mer', x.merchant_id), 'mode', x.mode, 'currency', x.currency) AS ids,
    format('%%s by the ledger, less %%s on the way', x.booked, coalesce(u.amount, 0)) AS expected,
    x.captured || ' by the gateway' AS found
FROM (
    SELECT
        coalesce(g.merchant_id, l.merchant_id) AS merchant_id, coalesce(g.mode, l.mode) AS mode,
        coalesce(g.currency, l.currency) AS currency, coalesce(g.captured, 0) AS captured, coalesce(l.booked, 0) AS booked
    FROM (
        SELECT merchant_id, mode, currency, sum(amount_captured_minor) AS captured
        FROM gateway.payments WHERE payment_id >= (SELECT ids_from FROM kept) GROUP BY merchant_id, mode, currency
    ) AS g
    FULL JOIN (
        SELECT a.merchant_id, a.mode, a.currency, sum(p.amount_minor) AS booked
        FROM ledger.journal_entries AS e
        JOIN ledger.postings AS p ON p.entry_id = e.id AND p.side = 'credit'
        JOIN ledger.accounts AS a ON a.id = p.account_id
        WHERE e.kind = 'capture' AND e.payment_id IS NOT NULL AND a.code <> 'fees:income'
        GROUP BY a.merchant_id, a.mode, a.currency
    ) AS l ON l.merchant_id = g.merchant_id AND l.mode = g.mode AND l.currency = g.currency
) AS x
LEFT JOIN (
    SELECT
        data ->> 'merchant_id' AS merchant_id, data ->> 'mode' AS mode, data ->> 'currency' AS currency,
        sum(number_in(data, 'amount_minor')) AS amount
    FROM unconsumed
    WHERE consumer_group = 'gateway' AND type IN ('rialto.hold.captured.v1', 'rialto.capture.booked.v1')
    GROUP BY 1, 2, 3
) AS u ON u.merchant_id = text_id('mer', x.merchant_id) AND u.mode = x.mode AND u.currency = x.currency
WHERE x.captured <> x.booked - coalesce(u.amount, 0)

-- check: I7 refund_differs
-- uses: kept handles inboxes letters consumption unconsumed refund_entries
-- a refund that succeeded is not in the ledger, or one in the ledger did not succeed, and nothing is on the way
-- To a wallet the ledger books first and the gateway hears; at an acquirer the gateway knows first and the ledger hears.
SELECT
    jsonb_build_object('refund_id', x.refund_id, 'payment_id', text_id('pay', x.payment_id)) AS ids,
    coalesce(x.booked || ' booked', 'nothing booked') AS expected, x.amount_minor || ' ' || x.state AS found
FROM (
    SELECT g.payment_id, text_id('re', g.refund_id) AS refund_id, g.amount_minor, g.state, r.amount AS booked
    FROM gateway.refunds AS g LEFT JOIN refund_entries AS r ON r.refund_id = text_id('re', g.refund_id)
) AS x
LEFT JOIN (
    SELECT DISTINCT data ->> 'refund_id' AS refund_id FROM unconsumed
    WHERE (consumer_group = 'gateway' AND type = 'rialto.refund.booked.v1')
        OR (consumer_group = 'ledger' AND type = 'rialto.refund.succeeded.v1')
) AS u ON u.refund_id = x.refund_id
WHERE CASE x.state
    WHEN 'succeeded' THEN x.booked IS DISTINCT FROM x.amount_minor AND u.refund_id IS NULL
    WHEN 'pending' THEN x.booked IS NOT NULL AND u.refund_id IS NULL
    ELSE x.booked IS NOT NULL
END AND x.payment_id >= (SELECT ids_from FROM kept)

-- check: I7 payment_not_as_its_refunds
-- a payment's refunded and pending totals are not those of its refunds
SELECT
    jsonb_build_object('payment_id', text_id('pay', p.payment_id)) AS ids,
    format('refunded %%s, pending %%s', coalesce(r.succeeded, 0), coalesce(r.pending, 0)) AS expected,
    format('refunded %%s, pending %%s', p.amount_refunded_minor, p.refund_pending_minor) AS found
FROM gateway.payments AS p
LEFT JOIN (
    SELECT
        payment_id, sum(amount_minor) FILTER (WHERE state = 'succeeded') AS succeeded,
        sum(amount_minor) FILTER (WHERE state = 'pending') AS pending
    FROM gateway.refunds GROUP BY payment_id
) AS r ON r.payment_id = p.payment_id
WHERE (p.amount_refunded_minor, p.refund_pending_minor)
    IS DISTINCT FROM (coalesce(r.succeeded, 0), coalesce(r.pending, 0))

-- check: I7 unpaid_differs
-- what the gateway keeps as captured and not yet paid, from which balances and payouts come, is not what its payments say
SELECT
    jsonb_build_object('payment_id', text_id('pay', x.payment_id)) AS ids,
    format('%%s unpaid, waiting %%s', coalesce(x.net, 0), coalesce(x.waits, FALSE)) AS expected,
    format('%%s unpaid, waiting %%s', coalesce(x.kept, 0), coalesce(x.waiting, FALSE)) AS found
FROM (
    SELECT
        payment_id, p.net, p.waits_for_payout AS waits, u.amount_minor AS kept, u.waiting
    FROM (
        SELECT payment_id, amount_captured_minor - fee_minor AS net, waits_for_payout FROM gateway.payments
        WHERE state IN ('authorised', 'captured') AND amount_captured_minor > fee_minor
    ) AS p
    FULL JOIN gateway.payables AS u USING (payment_id)
) AS x
WHERE (x.net, x.waits) IS DISTINCT FROM (x.kept, x.waiting)

-- check: I7 fees_differ
-- uses: kept handles inboxes letters consumption unconsumed
-- what the gateway says a payment's merchant was charged is not what the ledger has booked as earned with it
-- With a capture the ledger books first and the gateway hears; of a dispute the gateway knows first and the ledger hears.
SELECT
    jsonb_build_object('payment_id', text_id('pay', x.payment_id)) AS ids,
    format('%%s by the ledger, %%s on the way to the gateway and %%s from it', x.booked, coalesce(u.told, 0), coalesce(u.asked, 0))
        AS expected,
    x.charged || ' by the gateway' AS found
FROM (
    SELECT
        coalesce(g.payment_id, l.payment_id) AS payment_id, coalesce(g.charged, 0) AS charged,
        coalesce(l.booked, 0) AS booked
    FROM (SELECT payment_id, sum(amount_minor) AS charged FROM gateway.fees GROUP BY payment_id) AS g
    FULL JOIN (
        SELECT e.payment_id, sum(CASE p.side WHEN 'credit' THEN p.amount_minor ELSE -p.amount_minor END) AS booked
        FROM ledger.accounts AS a
        JOIN ledger.postings AS p ON p.account_id = a.id
        JOIN ledger.journal_entries AS e ON e.id = p.entry_id
        WHERE a.code = 'fees:income' AND e.payment_id IS NOT NULL GROUP BY e.payment_id
    ) AS l ON l.payment_id = g.payment_id
) AS x
LEFT JOIN (
    SELECT
        data ->> 'payment_id' AS key, sum(number_in(data, 'fee_minor')) FILTER (WHERE consumer_group = 'gateway') AS told,
        sum(number_in(data, 'fee_minor')) FILTER (WHERE consumer_group = 'ledger') AS asked
    FROM unconsumed
    WHERE (consumer_group = 'gateway' AND type IN ('rialto.hold.captured.v1', 'rialto.capture.booked.v1'))
        OR (consumer_group = 'ledger' AND type = 'rialto.dispute.opened.v1')
    GROUP BY 1
) AS u ON u.key = text_id('pay', x.payment_id)
WHERE x.charged <> x.booked - coalesce(u.told, 0) + coalesce(u.asked, 0)
    AND x.payment_id >= (SELECT ids_from FROM kept)

-- check: I7 payment_not_as_its_fees
-- what a payment's captures were charged is not what its fees come to, or more is under way than captures are
SELECT
    jsonb_build_object('payment_id', text_id('pay', p.payment_id)) AS ids, coalesce(f.amount, 0) || ' charged' AS expected,
    format('%%s charged, %%s on the way', p.fee_minor, p.fee_pending_minor) AS found
FROM gateway.payments AS p
LEFT JOIN (
    SELECT payment_id, sum(amount_minor) AS amount FROM gateway.fees WHERE kind = 'processing' GROUP BY payment_id
) AS f ON f.payment_id = p.payment_id
WHERE p.fee_minor <> coalesce(f.amount, 0) OR p.fee_pending_minor > p.capture_pending_minor

-- check: I7 held_back_above_captured
-- more is held back of a merchant's day than was captured on it
SELECT
    jsonb_build_object('merchant_id', text_id('mer', h.merchant_id), 'mode', h.mode, 'currency', h.currency, 'day', h.day)
        AS ids,
    coalesce(c.amount, 0) || ' captured, at most' AS expected, h.amount_minor || ' held back' AS found
FROM gateway.held_back AS h
LEFT JOIN (
    SELECT
        p.merchant_id, p.mode, p.currency, (g.updated_at AT TIME ZONE 'UTC')::DATE AS day, sum(g.amount_minor) AS amount
    FROM gateway.captures AS g JOIN gateway.payments AS p ON p.payment_id = g.payment_id
    WHERE g.state = 'succeeded' GROUP BY 1, 2, 3, 4
) AS c ON c.merchant_id = h.merchant_id AND c.mode = h.mode AND c.currency = h.currency AND c.day = h.day
WHERE h.amount_minor > coalesce(c.amount, 0)

-- check: I7 payout_differs
-- a payout is not the sum of its payments, or has another count of those paid than are settled
SELECT
    jsonb_build_object('payout_id', text_id('po', x.payout_id)) AS ids,
    format('%%s payments of %%s, %%s settled', coalesce(x.payments, 0), coalesce(x.amount, 0), coalesce(x.settled, 0))
        AS expected,
    format(
        '%%s payments of %%s, %%s paid; its lines %%s of %%s, %%s paid', coalesce(x.told, 0), coalesce(x.told_amount, 0),
        coalesce(x.told_paid, 0), coalesce(x.lines, 0), coalesce(x.lines_amount, 0), coalesce(x.lines_paid, 0)
    ) AS found
FROM (
    SELECT
        payout_id, p.payments, p.amount, p.settled, o.payments AS told, o.amount_minor AS told_amount,
        o.paid AS told_paid, l.lines, l.lines_amount, l.lines_paid
    FROM (
        SELECT
            payout_id, count(*) AS payments, sum(amount_captured_minor - fee_minor) AS amount,
            count(*) FILTER (WHERE state = 'settled') AS settled
        FROM gateway.payments WHERE payout_id IS NOT NULL GROUP BY payout_id
    ) AS p
    FULL JOIN gateway.payouts AS o USING (payout_id)
    FULL JOIN (
        SELECT
            payout_id, count(*) AS lines, sum(amount_minor) AS lines_amount,
            count(*) FILTER (WHERE state = 'paid') AS lines_paid
        FROM gateway.payout_payments GROUP BY payout_id
    ) AS l USING (payout_id)
) AS x
WHERE (x.payments, x.amount, x.settled) IS DISTINCT FROM (x.told, x.told_amount, x.told_paid)
    OR (x.payments, x.amount, x.settled) IS DISTINCT FROM (x.lines, x.lines_amount, x.lines_paid)

-- check: I7 dispute_differs
-- uses: kept handles inboxes letters consumption unconsumed
-- what a dispute has set aside, given back or cost is not booked, or is booked and no dispute says so
-- The gateway knows first and the ledger hears.
SELECT
    jsonb_build_object('dispute_id', x.dispute_id, 'payment_id', text_id('pay', x.payment_id)) AS ids,
    coalesce(x.state || ', ' || x.amount_minor, 'no dispute') AS expected,
    format('%%s set aside, %%s won, %%s lost', coalesce(x.opened, 0), coalesce(x.won, 0), coalesce(x.lost, 0)) AS found
FROM (
    SELECT
        coalesce(g.dispute_id, b.dispute_id) AS dispute_id, coalesce(g.payment_id, b.payment_id) AS payment_id, g.state,
        g.amount_minor, b.opened, b.won, b.lost
    FROM (
        SELECT text_id('dp', dispute_id) AS dispute_id, payment_id, state, amount_minor FROM gateway.disputes
    ) AS g
    FULL JOIN (
        SELECT
            e.metadata ->> 'dispute_id' AS dispute_id, e.payment_id,
            sum(p.amount_minor) FILTER (WHERE e.kind = 'chargeback_opened') AS opened,
            sum(p.amount_minor) FILTER (WHERE e.kind = 'chargeback_won') AS won,
            sum(p.amount_minor) FILTER (WHERE e.kind = 'chargeback_lost') AS lost
        FROM ledger.journal_entries AS e
        JOIN ledger.postings AS p ON p.entry_id = e.id
        JOIN ledger.accounts AS a ON a.id = p.account_id AND a.code LIKE 'merchant:%%:reserve'
        WHERE e.kind IN ('chargeback_opened', 'chargeback_won', 'chargeback_lost')
        GROUP BY e.metadata ->> 'dispute_id', e.payment_id
    ) AS b ON b.dispute_id = g.dispute_id
) AS x
LEFT JOIN (
    SELECT DISTINCT data ->> 'dispute_id' AS dispute_id FROM unconsumed
    WHERE consumer_group = 'ledger' AND type LIKE 'rialto.dispute.%%'
) AS u ON u.dispute_id = x.dispute_id
WHERE u.dispute_id IS NULL AND (
    x.amount_minor IS DISTINCT FROM x.opened
    OR x.won IS DISTINCT FROM CASE x.state WHEN 'won' THEN x.amount_minor END
    OR x.lost IS DISTINCT FROM CASE x.state WHEN 'lost' THEN x.amount_minor END
) AND (x.payment_id IS NULL OR x.payment_id >= (SELECT ids_from FROM kept))

-- check: I7 payment_not_as_its_disputes
-- what a payment has disputed is not what its disputes that are open or lost come to
SELECT
    jsonb_build_object('payment_id', text_id('pay', p.payment_id)) AS ids, coalesce(d.amount, 0) || ' disputed' AS expected,
    p.amount_disputed_minor || ' disputed' AS found
FROM gateway.payments AS p
LEFT JOIN (
    SELECT payment_id, sum(amount_minor) AS amount FROM gateway.disputes WHERE state <> 'won' GROUP BY payment_id
) AS d ON d.payment_id = p.payment_id
WHERE p.amount_disputed_minor <> coalesce(d.amount, 0)

-- check: I7 left_in_suspense
-- uses: handles inboxes letters consumption unconsumed
-- money waits in suspense for a capture or refund whose outcome the gateway knows, and nothing is on the way
SELECT
    jsonb_build_object('entry_id', text_id('je', s.id), 'for', s.subject) AS ids,
    'booked or returned, as it is ' || coalesce(g.state, 'unknown to the gateway') AS expected, 'suspended' AS found
FROM (
    SELECT id, coalesce(metadata ->> 'refund_id', metadata ->> 'capture_id') AS subject
    FROM ledger.journal_entries WHERE kind = 'suspended'
) AS s
LEFT JOIN (
    SELECT coalesce(metadata ->> 'refund_id', metadata ->> 'capture_id') AS subject
    FROM ledger.journal_entries WHERE kind IN ('capture', 'refund', 'suspended_returned') AND payment_id IS NOT NULL
) AS e ON e.subject = s.subject
LEFT JOIN (
    SELECT text_id('re', refund_id) AS subject, state FROM gateway.refunds
    UNION ALL
    SELECT text_id('cap', capture_id), state FROM gateway.captures
) AS g ON g.subject = s.subject
LEFT JOIN (
    SELECT DISTINCT coalesce(data ->> 'refund_id', data ->> 'capture_id') AS subject FROM unconsumed
    WHERE consumer_group = 'ledger' AND type IN (
        'rialto.refund.succeeded.v1', 'rialto.refund.failed.v1', 'rialto.attempt.resolved.v1',
        'rialto.capture.requested.v1'
    )
) AS u ON u.subject = s.subject
WHERE e.subject IS NULL AND u.subject IS NULL AND coalesce(g.state, 'lost') <> 'pending'

-- check: I7 acquirer_settlement_differs
-- uses: kept handles inboxes letters consumption unconsumed
-- what a line of a settlement file clears was not booked so, or a settlement was booked that no line says
-- So what an acquirer owes is what it captured less what it refunded and settled.
SELECT
    jsonb_build_object('settles', x.settles) AS ids,
    coalesce(x.gross_minor || ' by a file', 'no line') AS expected,
    coalesce(x.booked || ' by the ledger', 'nothing booked') AS found
FROM (
    SELECT
        coalesce(g.settles, l.settles) AS settles, g.gross_minor, g.settled_at, l.booked, l.entries
    FROM (
        SELECT
            coalesce(text_id('att', s.attempt_id), text_id('dp', s.dispute_id)) AS settles, s.gross_minor,
            coalesce(a.settled_at, d.settled_at) AS settled_at
        FROM gateway.settlement_lines AS s
        LEFT JOIN gateway.attempts AS a ON a.attempt_id = s.attempt_id
        LEFT JOIN gateway.disputes AS d ON d.dispute_id = s.dispute_id
        WHERE coalesce(s.attempt_id, s.dispute_id) >= (SELECT ids_from FROM kept)
    ) AS g
    FULL JOIN (
        SELECT
            e.metadata ->> 'settles' AS settles, count(DISTINCT e.id) AS entries,
            sum(CASE p.side WHEN 'credit' THEN p.amount_minor ELSE -p.amount_minor END) AS booked
        FROM ledger.journal_entries AS e
        JOIN ledger.postings AS p ON p.entry_id = e.id
        JOIN ledger.accounts AS a ON a.id = p.account_id AND a.code LIKE 'acquirer:%%:receivable'
        WHERE e.kind = 'acquirer_settlement' GROUP BY 1
    ) AS l ON l.settles = g.settles
) AS x
LEFT JOIN (
    SELECT DISTINCT key FROM unconsumed
    WHERE consumer_group = 'ledger' AND type = 'rialto.acquirer.settled.v1'
) AS u ON u.key = x.settles
WHERE ((x.gross_minor, 1::BIGINT) IS DISTINCT FROM (x.booked, x.entries) AND u.key IS NULL)
    OR (x.gross_minor IS NOT NULL AND x.settled_at IS NULL)

-- facts: captures_on_the_way
-- uses: handles inboxes letters consumption unconsumed
-- Captures that the ledger has booked and the gateway has not heard of.
SELECT count(*) AS events, coalesce(sum(number_in(data, 'amount_minor')), 0)::TEXT AS amount_minor
FROM unconsumed WHERE consumer_group = 'gateway' AND type IN ('rialto.hold.captured.v1', 'rialto.capture.booked.v1')

-- count: I8
-- uses: handles inboxes
SELECT (SELECT count(*) FROM bus.log) + (SELECT count(*) FROM inboxes)

-- check: I8 out_of_order
-- an event's sequence is not above that of the one before it, of the same source and key
-- An answer told again, and one that changes nothing (a refusal; the void of a hold that was captured or had expired
-- before), carry the number of what stands.
SELECT
    jsonb_build_object('key', x.key, 'source', x.source, 'event_id', x.event_id, 'type', x.type) AS ids,
    'a sequence above ' || x.before AS expected, x.sequence || ' at position ' || x.position AS found
FROM (
    SELECT l.*, lag(l.sequence) OVER (PARTITION BY l.topic, l.source, l.key ORDER BY l.position) AS before
    FROM (
        SELECT
            topic, source, key, event_id, type, sequence, position,
            type = 'rialto.hold.voided.v1' AND number_in(data, 'amount_released_minor') = 0 AS changes_nothing,
            row_number() OVER (PARTITION BY source, event_id ORDER BY position) AS telling
        FROM bus.log WHERE topic NOT LIKE '%%.dlq' AND type NOT IN (
            'rialto.posting.refused.v1', 'rialto.refund.refused.v1', 'rialto.hold.increase_refused.v1'
        )
    ) AS l
    WHERE l.telling = 1
) AS x
WHERE x.sequence < x.before OR (x.sequence = x.before AND NOT x.changes_nothing)

-- check: I8 key_in_two_partitions
-- events of one key lie in several partitions, or not in that of their shard: nothing orders them
SELECT
    jsonb_build_object('key', l.key, 'topic', l.topic) AS ids, 'one partition, that of the shard' AS expected,
    count(DISTINCT l.partition) || ' partitions' AS found
FROM bus.log AS l JOIN bus.topics AS t ON t.topic = l.topic
GROUP BY l.topic, l.key
HAVING count(DISTINCT l.partition) > 1 OR bool_or(l.partition <> l.shard %% t.partitions)

-- check: I8 log_has_gap
-- positions of the log are missing or stand twice, though each is given out once and retention takes whole days
SELECT
    jsonb_build_object('topic', x.topic) AS ids,
    format('each position from %%s to %%s', x.first, x.next_position - 1) AS expected,
    format('%%s positions in %%s events, up to %%s', x.positions, x.events, x.last) AS found
FROM (
    SELECT
        t.topic, t.next_position, count(l.position) AS events, count(DISTINCT l.position) AS positions,
        coalesce(max(l.position), 0) AS last,
        CASE WHEN %(log_from)s::TIMESTAMPTZ = '-infinity' THEN 1 ELSE coalesce(min(l.position), t.next_position) END
        AS first
    FROM bus.topics AS t
    -- At the first hour of what is kept, positions and days may have been taken in another order.
    LEFT JOIN bus.log AS l ON l.topic = t.topic AND l.recorded_at >= %(log_from)s::TIMESTAMPTZ + INTERVAL '1 hour'
    GROUP BY t.topic, t.next_position
) AS x
WHERE x.events <> x.positions OR x.positions <> x.next_position - x.first

-- check: I8 one_id_two_events
-- two events of one source have the same id and are not the same answer told again
-- The ledger answers each question about a hold that is already released, and each request that it refuses, with one
-- and the same event. The chain may take a deposit back and confirm it again: it is the same deposit.
SELECT
    jsonb_build_object('event_id', l.event_id, 'source', l.source, 'type', min(l.type)) AS ids, 'once' AS expected,
    format('%%s times, %%s contents, %%s causes', count(*), count(DISTINCT (l.type, l.key, l.data::TEXT)),
        count(DISTINCT l.causation_id)) AS found
FROM bus.log AS l
JOIN (SELECT source, event_id FROM bus.log GROUP BY source, event_id HAVING count(*) > 1) AS again
    ON again.source = l.source AND again.event_id = l.event_id
GROUP BY l.source, l.event_id
HAVING NOT (
    count(DISTINCT (l.topic, l.type, l.key, l.data::TEXT)) = 1
    AND CASE
        WHEN min(l.type) IN ('rialto.hold.voided.v1', 'rialto.posting.refused.v1')
            THEN count(DISTINCT l.causation_id) = count(*)
        WHEN min(l.type) = 'rialto.deposit.confirmed.v1'
            THEN count(*) <= 1 + (SELECT max(t.reorgs) FROM chain_bridge.transactions AS t WHERE t.kind = 'mint')
        ELSE FALSE
    END
)

-- check: I8 event_skipped
-- uses: handles inboxes letters consumption
-- a group has read past an event that it handles without taking it in
SELECT
    jsonb_build_object('group', c.consumer_group, 'event_id', c.event_id, 'type', c.type, 'key', c.key) AS ids,
    'in its inbox' AS expected, format('neither handled nor parked; the group has read up to %%s', k.position) AS found
FROM consumption AS c
JOIN bus.cursors AS k
    ON k.consumer_group = c.consumer_group AND k.topic = c.topic AND k.partition = c.partition
WHERE c.standing = 'unread' AND c.position <= k.position

-- check: I8 taken_in_twice
-- uses: inboxes
-- a group's inbox has an event more than once
SELECT
    jsonb_build_object('group', consumer_group, 'event_id', event_id, 'source', source) AS ids, 'once' AS expected,
    count(*) || ' times' AS found
FROM inboxes GROUP BY consumer_group, event_id, source HAVING count(*) > 1

-- check: I8 taken_in_from_nowhere
-- uses: handles inboxes
-- a group's inbox has an event that the log does not have, or that the group does not handle
SELECT
    jsonb_build_object('group', i.consumer_group, 'event_id', i.event_id, 'source', i.source) AS ids,
    'an event in the log that the group handles' AS expected, 'none' AS found
FROM inboxes AS i
LEFT JOIN (
    SELECT h.consumer_group, l.event_id, l.source
    FROM handles AS h JOIN bus.log AS l ON l.topic = h.topic AND l.type = h.type
) AS e ON e.event_id = i.event_id AND e.source = i.source AND e.consumer_group = i.consumer_group
WHERE e.event_id IS NULL AND i.handled_at >= %(log_from)s::TIMESTAMPTZ + INTERVAL '1 day'

-- check: I8 cursor_past_the_log
-- a group claims to have read what was never written
SELECT
    jsonb_build_object('group', c.consumer_group, 'topic', c.topic, 'partition', c.partition) AS ids,
    'at most ' || t.next_position - 1 AS expected, c.position::TEXT AS found
FROM bus.cursors AS c JOIN bus.topics AS t ON t.topic = c.topic
WHERE c.position >= t.next_position

-- check: I8 published_past_the_log
-- a relay claims to have copied to Kafka what was never written
SELECT
    jsonb_build_object('topic', r.topic, 'relay', r.relay) AS ids, 'at most ' || t.next_position - 1 AS expected,
    r.published::TEXT AS found
FROM bus.relayed AS r JOIN bus.topics AS t ON t.topic = r.topic
WHERE r.published >= t.next_position

-- check: I8 overtaken
-- uses: handles inboxes letters consumption spreads
-- a group has taken in a later event of a partition while an earlier one is neither handled nor parked
-- A batch is one transaction, and within a partition batches are taken one after the other: no instant shows this. What
-- may be told again under its id says nothing of how far a group is, as it may be taken in from either place. Where
-- events are copied to Kafka, its partitions count; before the relay has recorded how many there are, none do.
SELECT
    jsonb_build_object(
        'group', x.consumer_group, 'topic', x.topic, 'partition', x.place, 'event_id', x.event_id, 'type', x.type,
        'key', x.key
    ) AS ids,
    'taken in before position ' || x.reached AS expected, 'neither handled nor parked at position ' || x.position AS found
FROM (
    SELECT
        p.*,
        max(p.position) FILTER (
            WHERE p.standing <> 'unread'
            AND p.type NOT IN ('rialto.hold.voided.v1', 'rialto.posting.refused.v1', 'rialto.deposit.confirmed.v1')
        ) OVER (PARTITION BY p.consumer_group, p.topic, p.after_position, p.place) AS reached
    FROM (
        SELECT
            c.consumer_group, c.topic, c.event_id, c.type, c.key, c.position, c.standing, s.after_position,
            CASE WHEN r.topic IS NULL THEN c.partition ELSE c.shard %% s.partitions END AS place
        FROM consumption AS c
        LEFT JOIN bus.relayed AS r ON r.topic = c.topic
        LEFT JOIN spreads AS s
            ON s.topic = c.topic AND c.position > s.after_position AND (s.up_to IS NULL OR c.position <= s.up_to)
    ) AS p
    WHERE p.place IS NOT NULL
) AS x
WHERE x.standing = 'unread' AND x.position < x.reached

-- check: I8 parked_without_inbox
-- uses: inboxes letters
-- an event is set aside and was not taken in: it could be handled as well
SELECT
    jsonb_build_object('group', d.consumer_group, 'event_id', d.event_id, 'key', d.key) AS ids,
    'in its inbox' AS expected, 'only among its dead letters' AS found
FROM letters AS d
LEFT JOIN inboxes AS i
    ON i.event_id = d.event_id AND i.source = d.source AND i.consumer_group = d.consumer_group
WHERE i.event_id IS NULL

-- check: I8 overtook_a_parked_event
-- uses: handles inboxes letters consumption
-- an event was handled while an earlier one of its key is parked
SELECT
    jsonb_build_object('group', later.consumer_group, 'key', later.key, 'event_id', later.event_id) AS ids,
    'parked behind ' || parked.event_id AS expected, 'handled' AS found
FROM consumption AS parked
JOIN consumption AS later
    ON later.consumer_group = parked.consumer_group AND later.topic = parked.topic AND later.key = parked.key
    AND later.position > parked.position
WHERE parked.standing = 'parked' AND later.standing = 'handled'

-- check: I8 entry_not_told_once
-- a journal entry and its journal_entry.posted event do not match one to one, with the same postings
SELECT
    jsonb_build_object('entry_id', x.entry_id) AS ids, coalesce(x.postings || ' postings of ' || x.amount, 'no such entry')
    AS expected, coalesce(x.events || ' events', 'no event') || coalesce(', ' || x.told || ' postings of ' || x.told_amount, '')
    AS found
FROM (
    SELECT
        coalesce(e.entry_id, l.entry_id) AS entry_id, e.recorded_at, e.postings, e.amount, l.events, l.told, l.told_amount
    FROM (
        SELECT text_id('je', j.id) AS entry_id, j.recorded_at, p.postings, p.amount
        FROM ledger.journal_entries AS j
        LEFT JOIN (
            SELECT entry_id, count(*) AS postings, sum(amount_minor) AS amount FROM ledger.postings GROUP BY entry_id
        ) AS p ON p.entry_id = j.id
    ) AS e
    FULL JOIN (
        SELECT
            data ->> 'entry_id' AS entry_id, count(DISTINCT event_id) AS events, max(p.told) AS told,
            max(p.amount) AS told_amount
        FROM bus.log
        CROSS JOIN LATERAL (
            SELECT count(*) AS told, sum(number_in(line, 'amount_minor')) AS amount
            FROM json_array_elements(
                CASE json_typeof(data -> 'postings') WHEN 'array' THEN data -> 'postings' ELSE '[]' END
            ) AS line
        ) AS p
        WHERE topic = 'rialto.ledger.v1' AND type = 'rialto.journal_entry.posted.v1'
        GROUP BY 1
    ) AS l ON l.entry_id = e.entry_id
) AS x
WHERE (x.recorded_at IS NULL OR x.recorded_at >= %(log_from)s::TIMESTAMPTZ)
    AND (x.postings, x.amount, x.events) IS DISTINCT FROM (x.told::BIGINT, x.told_amount, 1::BIGINT)

-- check: I8 hold_not_told_once
-- a hold and its hold.placed event do not match one to one, with the same amount
SELECT
    jsonb_build_object('hold_id', coalesce(h.hold_id, l.hold_id), 'payment_id', coalesce(h.key, l.key)) AS ids,
    coalesce('a hold of ' || h.amount_minor, 'no hold') AS expected,
    coalesce(l.events || ' events of ' || l.amount, 'no event') AS found
FROM (
    SELECT
        text_id('hold', id) AS hold_id, text_id('pay', payment_id) AS key, amount_minor - increased_minor AS amount_minor,
        placed_at
    FROM ledger.holds WHERE payment_id IS NOT NULL AND account_id IS NOT NULL AND status <> 'refused'
) AS h
FULL JOIN (
    SELECT
        data ->> 'hold_id' AS hold_id, key, count(DISTINCT event_id) AS events,
        max(number_in(data, 'amount_minor')) AS amount
    FROM bus.log WHERE topic = 'rialto.ledger.v1' AND type = 'rialto.hold.placed.v1' GROUP BY 1, 2
) AS l ON l.hold_id = h.hold_id AND l.key = h.key
WHERE (h.placed_at IS NULL OR h.placed_at >= %(log_from)s::TIMESTAMPTZ)
    AND (h.amount_minor, 1::BIGINT) IS DISTINCT FROM (l.amount, l.events)

-- check: I8 increase_not_told
-- a payment's hold was raised, and the last hold.increased event says otherwise
SELECT
    jsonb_build_object('hold_id', coalesce(h.hold_id, l.hold_id), 'payment_id', coalesce(h.key, l.key)) AS ids,
    coalesce('raised to ' || h.amount_minor, 'not raised') AS expected,
    coalesce('raised to ' || l.amount, 'no event') AS found
FROM (
    SELECT text_id('hold', id) AS hold_id, text_id('pay', payment_id) AS key, amount_minor, placed_at
    FROM ledger.holds WHERE payment_id IS NOT NULL AND increased_minor > 0
) AS h
FULL JOIN (
    SELECT data ->> 'hold_id' AS hold_id, key, max(number_in(data, 'amount_minor')) AS amount
    FROM bus.log WHERE topic = 'rialto.ledger.v1' AND type = 'rialto.hold.increased.v1' GROUP BY 1, 2
) AS l ON l.hold_id = h.hold_id AND l.key = h.key
WHERE (h.placed_at IS NULL OR h.placed_at >= %(log_from)s::TIMESTAMPTZ) AND h.amount_minor IS DISTINCT FROM l.amount

-- check: I8 capture_not_told_once
-- uses: capture_entries
-- a capture entry and its hold.captured or capture.booked event do not match one to one, with the same amount
SELECT
    jsonb_build_object('entry_id', coalesce(c.entry_id, l.entry_id), 'capture_id', coalesce(c.capture_id, l.capture_id))
    AS ids, coalesce('an entry of ' || c.amount, 'no entry') AS expected,
    coalesce(l.events || ' events of ' || l.amount, 'no event') AS found
FROM (SELECT text_id('je', entry_id) AS entry_id, capture_id, amount, recorded_at FROM capture_entries) AS c
FULL JOIN (
    SELECT
        data ->> 'entry_id' AS entry_id, data ->> 'capture_id' AS capture_id, count(DISTINCT event_id) AS events,
        max(number_in(data, 'amount_minor')) AS amount
    FROM bus.log
    WHERE topic = 'rialto.ledger.v1' AND type IN ('rialto.hold.captured.v1', 'rialto.capture.booked.v1')
    GROUP BY 1, 2
) AS l ON l.entry_id = c.entry_id AND l.capture_id = c.capture_id
WHERE (c.recorded_at IS NULL OR c.recorded_at >= %(log_from)s::TIMESTAMPTZ)
    AND (c.amount, 1::BIGINT) IS DISTINCT FROM (l.amount, l.events)

-- check: I8 release_not_told
-- a hold was released or refused and no event says so
SELECT
    jsonb_build_object('hold_id', text_id('hold', h.id), 'payment_id', text_id('pay', h.payment_id)) AS ids,
    'an event, as it is ' || h.status AS expected, 'none' AS found
FROM ledger.holds AS h
LEFT JOIN bus.log AS l
    ON l.topic = 'rialto.ledger.v1' AND l.key = text_id('pay', h.payment_id) AND l.type = CASE h.status
        WHEN 'voided' THEN 'rialto.hold.voided.v1' WHEN 'expired' THEN 'rialto.hold.expired.v1'
        ELSE 'rialto.posting.refused.v1' END
WHERE h.payment_id IS NOT NULL AND h.status IN ('voided', 'expired', 'refused') AND l.event_id IS NULL
    AND h.closed_at >= %(log_from)s::TIMESTAMPTZ

-- check: I8 verdict_without_effect
-- uses: handles inboxes letters consumption
-- fraud or compliance took a payment in and did not judge it exactly once, or judged one that it did not take in
SELECT
    jsonb_build_object('payment_id', coalesce(v.key, c.key), 'group', coalesce(v.consumer_group, c.consumer_group)) AS ids,
    coalesce(c.created || ' payments taken in', 'no payment taken in') AS expected,
    format('%%s verdicts, %%s events', coalesce(v.verdicts, 0), coalesce(t.told, 0)) AS found
FROM (
    SELECT consumer_group, key, count(DISTINCT event_id) AS created FROM consumption
    WHERE type IN ('rialto.payment.created.v1', 'rialto.payment.created.v2') AND standing = 'handled'
    GROUP BY consumer_group, key
) AS c
FULL JOIN (
    SELECT 'fraud' AS consumer_group, text_id('pay', payment_id) AS key, outcome, assessed_at AS at, 1 AS verdicts
    FROM fraud.assessments
    UNION ALL
    SELECT 'compliance', text_id('pay', payment_id), outcome, screened_at, 1 FROM compliance.screenings
) AS v ON v.consumer_group = c.consumer_group AND v.key = c.key
LEFT JOIN (
    SELECT
        CASE topic WHEN 'rialto.fraud.v1' THEN 'fraud' ELSE 'compliance' END AS consumer_group, key,
        count(DISTINCT event_id) AS told, min(data ->> 'outcome') AS outcome
    FROM bus.log WHERE type IN ('rialto.fraud.assessed.v1', 'rialto.compliance.screened.v1')
        AND topic IN ('rialto.fraud.v1', 'rialto.compliance.v1')
    GROUP BY 1, 2
) AS t ON t.consumer_group = coalesce(v.consumer_group, c.consumer_group) AND t.key = coalesce(v.key, c.key)
WHERE (v.at IS NULL OR v.at >= %(log_from)s::TIMESTAMPTZ)
    AND (c.created IS DISTINCT FROM 1 OR v.verdicts IS DISTINCT FROM 1 OR t.told IS DISTINCT FROM 1
        OR t.outcome IS DISTINCT FROM v.outcome)

-- check: I8 request_without_effect
-- uses: handles inboxes letters consumption capture_entries
-- a service took a request in and there is neither its effect nor a refusal
SELECT
    jsonb_build_object('group', c.consumer_group, 'type', c.type, 'payment_id', c.key, 'event_id', c.event_id) AS ids,
    'its effect, or a refusal' AS expected, 'neither' AS found
FROM consumption AS c
LEFT JOIN ledger.holds AS h
    ON c.type IN ('rialto.payment.approved.v1', 'rialto.increment.requested.v1', 'rialto.void.requested.v1')
    AND text_id('pay', h.payment_id) = c.key
    AND (c.type <> 'rialto.increment.requested.v1' OR h.amount_minor >= number_in(c.data, 'amount_minor'))
LEFT JOIN capture_entries AS e
    ON c.type = 'rialto.capture.requested.v1' AND e.capture_id = c.data ->> 'capture_id'
LEFT JOIN chain_bridge.intents AS i
    ON c.type = 'rialto.settlement.requested.v1' AND text_id('pay', i.payment_id) = c.key
LEFT JOIN ledger.journal_entries AS s
    ON c.type = 'rialto.settlement.confirmed.v1' AND s.kind = 'chain_settlement' AND text_id('pay', s.payment_id) = c.key
LEFT JOIN ledger.journal_entries AS d
    ON c.type = 'rialto.deposit.confirmed.v1' AND d.kind = 'deposit'
    AND d.metadata ->> 'deposit_id' = c.data ->> 'deposit_id'
LEFT JOIN ledger.journal_entries AS q
    ON c.type = 'rialto.acquirer.settled.v1' AND q.kind = 'acquirer_settlement' AND q.metadata ->> 'settles' = c.key
LEFT JOIN (
    SELECT DISTINCT metadata ->> 'refund_id' AS refund_id
    FROM ledger.journal_entries WHERE kind IN ('refund', 'suspended') AND payment_id IS NOT NULL
) AS b ON c.type = 'rialto.refund.requested.v1' AND b.refund_id = c.data ->> 'refund_id'
LEFT JOIN bus.log AS r
    ON r.topic = 'rialto.ledger.v1'
    AND r.type IN ('rialto.posting.refused.v1', 'rialto.refund.refused.v1', 'rialto.hold.increase_refused.v1')
    AND r.causation_id = c.event_id::TEXT
WHERE c.standing = 'handled' AND c.consumer_group IN ('ledger', 'chain_bridge')
    -- What may rightly have no effect, and disputes: `left_in_suspense` looks at what attempts and refunds come to,
    -- `dispute_differs` at disputes.
    AND c.type NOT IN (
        'rialto.settlement.reorged.v1', 'rialto.payment_totals.reported.v1', 'rialto.settlement_totals.reported.v1',
        'rialto.attempt.unknown.v1', 'rialto.attempt.resolved.v1', 'rialto.refund.succeeded.v1',
        'rialto.refund.failed.v1', 'rialto.dispute.opened.v1', 'rialto.dispute.won.v1', 'rialto.dispute.lost.v1'
    )
    AND coalesce(h.id, e.entry_id, i.payment_id, s.id, d.id, q.id, r.event_id) IS NULL AND b.refund_id IS NULL

-- check: I8 effect_without_request
-- uses: handles inboxes letters consumption capture_entries
-- a service did something that no event it took in had asked for
SELECT jsonb_build_object('type', x.type, 'id', x.id) AS ids, 'an event that it took in' AS expected, 'none' AS found
FROM (
    SELECT 'rialto.payment.approved.v1' AS type, text_id('pay', payment_id) AS id, placed_at AS at
    FROM ledger.holds WHERE payment_id IS NOT NULL AND account_id IS NOT NULL
    UNION ALL
    SELECT 'rialto.capture.requested.v1', capture_id, recorded_at FROM capture_entries
    UNION ALL
    SELECT 'rialto.refund.requested.v1', metadata ->> 'refund_id', recorded_at
    FROM ledger.journal_entries WHERE metadata ->> 'refund_id' IS NOT NULL AND payment_id IS NOT NULL
    UNION ALL
    SELECT 'rialto.settlement.requested.v1', text_id('pay', payment_id), requested_at FROM chain_bridge.intents
    UNION ALL
    SELECT 'rialto.settlement.confirmed.v1', text_id('pay', payment_id), recorded_at
    FROM ledger.journal_entries WHERE kind = 'chain_settlement'
    UNION ALL
    SELECT 'rialto.settlement.reorged.v1', text_id('pay', payment_id), recorded_at
    FROM ledger.journal_entries WHERE kind = 'chain_settlement_reversal'
    UNION ALL
    SELECT 'rialto.deposit.confirmed.v1', metadata ->> 'deposit_id', recorded_at
    FROM ledger.journal_entries WHERE kind = 'deposit'
    UNION ALL
    SELECT 'rialto.acquirer.settled.v1', metadata ->> 'settles', recorded_at
    FROM ledger.journal_entries WHERE kind = 'acquirer_settlement'
) AS x
LEFT JOIN (
    SELECT DISTINCT
        type, CASE type
            WHEN 'rialto.capture.requested.v1' THEN data ->> 'capture_id'
            WHEN 'rialto.refund.requested.v1' THEN data ->> 'refund_id' ELSE key
        END AS id
    FROM consumption WHERE standing = 'handled' AND consumer_group IN ('ledger', 'chain_bridge')
) AS c ON c.type = x.type AND c.id = x.id
-- A request is told before it is taken in, so it may be of the day before the effect's.
WHERE c.id IS NULL AND x.at >= %(log_from)s::TIMESTAMPTZ + INTERVAL '1 day'

-- check: I8 gateway_applied_twice
-- the gateway's timeline has one event's effect on a payment more than once
SELECT
    jsonb_build_object('payment_id', text_id('pay', payment_id), 'event_id', cause) AS ids, 'once' AS expected,
    count(*) || ' times' AS found
FROM gateway.timeline WHERE cause NOT LIKE 'att\_%%' GROUP BY payment_id, cause HAVING count(*) > 1

-- check: I8 gateway_applied_unread
-- uses: inboxes letters
-- the gateway's timeline has the effect of an event that it has not taken in, or has set aside
SELECT
    jsonb_build_object('payment_id', text_id('pay', t.payment_id), 'event_id', t.cause, 'event', t.event) AS ids,
    'taken in by the gateway' AS expected, CASE WHEN i.event_id IS NULL THEN 'unread' ELSE 'parked' END AS found
FROM gateway.timeline AS t
LEFT JOIN inboxes AS i ON i.consumer_group = 'gateway' AND i.event_id::TEXT = t.cause
LEFT JOIN letters AS d ON d.consumer_group = 'gateway' AND d.event_id::TEXT = t.cause
-- What acquirers say is no event: its lines name the attempt.
WHERE t.cause NOT LIKE 'att\_%%' AND (i.event_id IS NULL OR d.event_id IS NOT NULL)

-- check: I8 gateway_missed_a_fact
-- uses: handles inboxes letters consumption
-- the gateway took in a fact about money and its timeline shows nothing of it
SELECT
    jsonb_build_object('payment_id', c.key, 'event_id', c.event_id, 'type', c.type) AS ids,
    'a line of the timeline' AS expected, 'none' AS found
FROM consumption AS c
LEFT JOIN gateway.timeline AS t ON t.cause = c.event_id::TEXT
LEFT JOIN (
    SELECT text_id('pay', payment_id) AS key FROM gateway.payments WHERE state = 'settled'
) AS p ON c.type = 'rialto.settlement.confirmed.v1' AND p.key = c.key
WHERE c.consumer_group = 'gateway' AND c.standing = 'handled'
    AND c.type IN (
        'rialto.hold.captured.v1', 'rialto.capture.booked.v1', 'rialto.refund.booked.v1', 'rialto.hold.increased.v1',
        'rialto.settlement.confirmed.v1'
    ) AND t.cause IS NULL AND p.key IS NULL

-- check: I8 confirmation_not_told
-- a settlement is confirmed for the chain-bridge, and no event says so
SELECT
    jsonb_build_object('payment_id', text_id('pay', i.payment_id), 'tx_hash', t.tx_hash) AS ids,
    'a settlement.confirmed event' AS expected, 'none' AS found
FROM chain_bridge.intents AS i
JOIN chain_bridge.transactions AS t ON t.id = i.transaction_id AND t.state = 'confirmed'
LEFT JOIN bus.log AS l
    ON l.topic = 'rialto.settlements.v1' AND l.type = 'rialto.settlement.confirmed.v1'
    AND l.key = text_id('pay', i.payment_id) AND l.data ->> 'tx_hash' = t.tx_hash
WHERE l.event_id IS NULL AND t.confirmed_at >= %(log_from)s::TIMESTAMPTZ

-- facts: standings
-- uses: handles inboxes letters consumption
-- How far each group is.
SELECT consumer_group, standing, count(*) AS events FROM consumption GROUP BY consumer_group, standing

-- facts: relayed
-- Every topic, how far it was copied to Kafka, and over how many partitions it was spread after which position.
SELECT
    t.topic, r.topic IS NOT NULL AS is_relayed, coalesce(r.published, 0) AS published, coalesce(s.afters, '{}') AS afters,
    coalesce(s.counts, '{}') AS counts
FROM bus.topics AS t
LEFT JOIN bus.relayed AS r ON r.topic = t.topic
LEFT JOIN (
    SELECT
        topic, array_agg(after_position ORDER BY after_position) AS afters,
        array_agg(partitions ORDER BY after_position) AS counts
    FROM bus.relayed_spreads GROUP BY topic
) AS s ON s.topic = t.topic
ORDER BY t.topic

-- facts: log_columns
-- A topic's events, in fields of one width each. The digests are those of records.py.
SELECT
    l.position, l.event_id,
    substring(sha256(convert_to(l.source || E'\n' || l.type || E'\n' || l.key, 'UTF8')) FROM 1 FOR 16) AS what,
    substring(sha256(convert_to(l.key, 'UTF8')) FROM 1 FOR 8) AS key, l.shard,
    l.recorded_at >= %(log_from)s::TIMESTAMPTZ + INTERVAL '1 hour' AS kept,
    l.type IN ('rialto.hold.voided.v1', 'rialto.posting.refused.v1', 'rialto.deposit.confirmed.v1') AS returns
FROM bus.log AS l
WHERE l.topic = %(topic)s

-- facts: unread_columns
-- uses: handles inboxes letters consumption
-- What each group has yet to take in; groups and topics by their place in the parameters.
SELECT
    array_position(%(group_names)s::TEXT[], consumer_group)::SMALLINT AS consumer_group,
    array_position(%(topic_names)s::TEXT[], topic)::SMALLINT AS topic, position
FROM consumption
WHERE standing = 'unread' AND topic = ANY (%(topic_names)s::TEXT[])

-- facts: events_at
-- Events by their positions.
SELECT position, event_id::TEXT AS event_id, type, key
FROM bus.log WHERE topic = %(topic)s AND position = ANY (%(positions)s::BIGINT[])

-- facts: deployments
-- The contracts in use, a chain each.
SELECT chain_id, mode, token, token_decimals, token_address, settlement_address FROM chain_bridge.deployments

-- facts: treasury_entries
-- What the ledger has booked on the accounts of the treasuries on chain: what came in is positive.
SELECT
    text_id('je', e.id) AS entry_id, e.kind, text_id('pay', e.payment_id) AS payment_id, split_part(a.code, ':', 2) AS chain_id,
    a.code AS account, CASE p.side WHEN 'debit' THEN p.amount_minor ELSE -p.amount_minor END AS amount,
    e.metadata ->> 'block_number' AS block_number, e.metadata ->> 'block_hash' AS block_hash,
    e.metadata ->> 'tx_hash' AS tx_hash,
    EXISTS (SELECT FROM ledger.journal_entries AS r WHERE r.reverses = e.id) AS is_reversed
FROM ledger.accounts AS a
JOIN ledger.postings AS p ON p.account_id = a.id
LEFT JOIN ledger.journal_entries AS e ON e.id = p.entry_id
WHERE a.code LIKE 'chain:%%:treasury'
UNION ALL
SELECT
    text_id('je', o.entry_id), o.kind, text_id('pay', o.payment_id), split_part(a.code, ':', 2), a.code, o.amount_minor,
    o.metadata ->> 'block_number', o.metadata ->> 'block_hash', o.metadata ->> 'tx_hash', o.is_reversed
FROM ledger.archived_treasury AS o JOIN ledger.accounts AS a ON a.id = o.account_id

-- facts: payouts
-- uses: decimals
-- What the chain should pay for each payment that was captured, and where its transaction stands.
SELECT
    text_id('pay', p.payment_id) AS payment_id, p.state, lower(p.payee_address) AS payee,
    trunc((p.amount_captured_minor - p.fee_minor) * power(10::NUMERIC, dep.token_decimals - coalesce(d.exponent, 2))) AS amount,
    i.payment_id IS NOT NULL AS has_intent, i.failure_code, t.state AS transaction_state
FROM gateway.payments AS p
LEFT JOIN chain_bridge.intents AS i ON i.payment_id = p.payment_id
LEFT JOIN chain_bridge.transactions AS t ON t.id = i.transaction_id
LEFT JOIN chain_bridge.deployments AS dep ON dep.chain_id = i.chain_id
LEFT JOIN decimals AS d ON d.currency = p.currency
WHERE p.amount_captured_minor > 0 OR i.payment_id IS NOT NULL

-- facts: chain_events_unread
-- uses: handles inboxes letters consumption unconsumed
-- The chain-bridge's facts that have had no effect on the ledger yet.
SELECT event_id::TEXT AS event_id, type, key, data ->> 'tx_hash' AS tx_hash
FROM unconsumed
WHERE consumer_group = 'ledger'
    AND type IN ('rialto.settlement.confirmed.v1', 'rialto.settlement.reorged.v1', 'rialto.deposit.confirmed.v1')

-- facts: mints
-- What the chain-bridge has sent to fill the treasury.
SELECT tx_hash, state FROM chain_bridge.transactions WHERE kind = 'mint'
