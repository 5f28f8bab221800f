-- What the chain-bridge has told of each merchant's closed days; rialto_common.control reads and writes it.
SELECT bus.create_control_totals('chain_bridge', 'rialto_chain_bridge');
