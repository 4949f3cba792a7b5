"""The garbage collector: what nobody owns any more goes, in the way the deletion asked for."""
