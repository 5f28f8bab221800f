"""`rialto torture`: breaks a platform of its own in every way it knows, and sees whether the promises hold."""
