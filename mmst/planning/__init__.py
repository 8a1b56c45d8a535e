"""What a recipe needs, before anything is launched."""
