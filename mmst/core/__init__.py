"""What every room stands on: records, configuration, errors, ports, and stages in a store. Standard library only."""
