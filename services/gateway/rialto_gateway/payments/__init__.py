"""Payments: `states.py` names the states, `machine.py` decides, the rest carries it out."""
