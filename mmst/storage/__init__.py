"""The providers of `ports.Store`: a folder, or a prefix of an S3 bucket."""
