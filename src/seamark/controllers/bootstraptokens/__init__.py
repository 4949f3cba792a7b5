"""Bootstrap tokens: cluster-info is signed with them, and they go when they expire."""
