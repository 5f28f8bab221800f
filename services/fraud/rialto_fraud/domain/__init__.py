"""The pure part: history, features, reference amounts, policy and reasons."""
