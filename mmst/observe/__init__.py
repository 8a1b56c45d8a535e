"""What a run reports while it works: progress, logs, and the only ways to a terminal."""
