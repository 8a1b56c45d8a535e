"""How the shipped base model was made; not part of the installed package."""
