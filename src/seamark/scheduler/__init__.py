"""Binds pods to nodes: plan.py decides, controller.py wires."""
