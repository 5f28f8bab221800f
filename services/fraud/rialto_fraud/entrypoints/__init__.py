"""HTTP and events in."""
