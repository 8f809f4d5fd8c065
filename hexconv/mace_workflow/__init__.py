"""hexconv inside MACE's own workflow: its converter's place taken, its scripts run."""
