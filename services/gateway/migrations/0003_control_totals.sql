-- What the gateway has told of each merchant's closed days; rialto_common.control reads and writes it.
SELECT bus.create_control_totals('gateway', 'rialto_gateway');

-- The captures of a day. They are written in the order of their time, so that ranges of pages are ranges of time: a few
-- kilobytes in all, and a capture's later changes still touch no index.
CREATE INDEX captures_by_time ON gateway.captures USING brin (created_at) WITH (autosummarize = on);
