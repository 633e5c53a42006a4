"""Where the store keeps its files, below the base directory. The rest of the program takes each path of the store from here. Pure."""

__all__ = ["DROPS", "FOLDERS", "MOVES", "OUTPUTS", "TAKEN", "module_folder"]

DROPS = "Submitted"
TAKEN = "Submitted/.taken"

FOLDERS = {
    DROPS: 0o755,  # the administrator may open it to other writers
    TAKEN: 0o700,  # for the engine only: what is in it has been taken
    "Incoming": 0o750,
    "Queue": 0o750,
    "Staged": 0o750,
    "Outbound": 0o750,
    "Quarantine": 0o750,
    "Hold": 0o750,
    "Bad": 0o750,
}
"""The folders, and the modes with which they are made."""

MOVES = ("Queue", "Incoming", TAKEN, DROPS, "Staged", "Bad", "Quarantine", "Hold", "Outbound")
"""Messages move between these by rename."""

OUTPUTS = {
    "enqueued": ("Outbound/*/*.msg",),
    "quarantined": ("Quarantine/*.msg", "Quarantine/*.why"),
    "bad": ("Bad/*.msg", "Bad/*.why"),
    "refused": ("Submitted/*.bad", "Submitted/*.bad.why"),
}
"""The files of a message by its disposition, as patterns: the message first."""


def module_folder(module: str) -> str:
    """Return the folder of a module queue."""
    return f"Outbound/{module}"
