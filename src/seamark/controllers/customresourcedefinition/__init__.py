"""CustomResourceDefinitions: names are accepted, kinds established, and their objects removed before they go."""
