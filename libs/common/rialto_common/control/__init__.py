"""Control totals: what each service says of a closed day, so that the books can be compared."""
