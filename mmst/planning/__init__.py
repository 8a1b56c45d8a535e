"""What a recipe takes, before anything is launched."""
