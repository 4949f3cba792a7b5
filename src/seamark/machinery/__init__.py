"""Pure algorithms of the Kubernetes API: names, selectors, patches, schemas, codecs."""
