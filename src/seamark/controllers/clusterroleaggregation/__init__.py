"""ClusterRole aggregation: a role with an aggregationRule holds the rules of the roles that it selects."""
