"""Tables of a run, each with the same columns and types whatever the run holds; `harness.frames` puts them together."""
