"""From a number in a report back to where it comes from, without asking what wrote the report."""
