"""Runs the system: set-up, services and processes, natively or with containers.

Standard library only, because it runs before the virtual environment exists. What needs our dependencies
(`probe.py`) is started with the environment's own Python. Imports none of the packages it runs.

Used through the Makefile; ``python3 -m deploy.native --help`` lists what there is.
"""
