"""What was seen that bears on how far a run's figures can be trusted: one rule a function, from records alone."""
