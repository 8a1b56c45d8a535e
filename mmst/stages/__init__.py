"""The method, a module a stage: read these and you have read the paper."""
