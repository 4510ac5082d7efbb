"""What follows from the samples of a run: each module one kind of number of its summary."""
