"""The DNS server: Corefile, plugins in a fixed order, a compiled table that answers."""
