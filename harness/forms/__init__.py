"""What the files of a run hold, as types, one file a kind: read by the gate, published as JSON Schemas.

A file may hold more than its form says. What keeps its form can be read by whoever relied on the form before.
"""
