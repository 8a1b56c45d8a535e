"""What a run tells while it goes: progress, logs, and the only ways to a terminal."""
