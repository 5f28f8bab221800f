"""Pure screening: names, matching, the index over the lists, rules and the policy."""
