"""The pieces of which reports, terminal tables and figures are put together."""
