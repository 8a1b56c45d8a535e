"""Tracking and model registry: MLflow."""
