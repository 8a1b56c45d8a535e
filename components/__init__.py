"""The KFP components: one thin module a stage, the same names; all logic is in `mmst`."""
