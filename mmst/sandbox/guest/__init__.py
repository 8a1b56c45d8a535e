"""What runs inside the sandbox: standard library only, as its root folder holds nothing else of MMST."""
