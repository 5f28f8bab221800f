"""`rialto events`: read the bus as a person would, and look up what an event says."""
