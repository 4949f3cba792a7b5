"""Certificate requests: nodes' own are approved, approved ones signed, old ones cleaned away."""
