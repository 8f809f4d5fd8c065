"""Phones are played by a stand-in for adb: no test needs one."""
