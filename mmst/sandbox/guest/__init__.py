"""The code that runs inside the sandbox: standard library only, because its root folder has nothing else of MMST."""
