"""The commands behind `mmst …`, grouped as `mmst --help` shows them. Heavy imports only inside a command's body."""
