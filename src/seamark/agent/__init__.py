"""The node: runs pods for real and reports their status."""
