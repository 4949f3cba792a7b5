"""The protection of storage in use: claims outlive their pods, volumes their claims."""
