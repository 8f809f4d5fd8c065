"""A model on a phone: the commands that run it with MACE, and what comes back."""

from hexconv.phone.plan import Build, Plan, make_plan

__all__ = ["Build", "Plan", "make_plan"]
