"""What another distribution can offer to the harness: one method, one data set, one source of boxes."""
