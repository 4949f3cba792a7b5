"""core/v1: one module per kind, and the pools of addresses and node ports."""
