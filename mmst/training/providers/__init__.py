"""The providers that start the training worker: torchrun here, a training job in a cluster."""
