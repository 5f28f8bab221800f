"""A simulated acquirer: an HTTP server of its own, with tokens that make it fail in every way that real ones do."""
