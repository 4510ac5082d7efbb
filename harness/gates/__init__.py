"""What `harness.gate` asks of a run, one file a question, and the words and numbers that the questions share."""
