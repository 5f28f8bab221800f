"""`rialto audit`: the books I1-I8, checked from outside. It shares no code with what it audits; see README.md."""
