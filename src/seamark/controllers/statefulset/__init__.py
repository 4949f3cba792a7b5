"""The StatefulSet controller: pods with names that last, started and stopped in order."""
