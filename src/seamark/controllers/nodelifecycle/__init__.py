"""The node lifecycle controller: notices silent nodes, says so on the Node, its taints and its pods."""
