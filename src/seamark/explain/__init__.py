"""Says why: asks the same tables and plugins that answer; where an answer comes from, and what would mend it."""
