"""What starts the training worker: torchrun here, a training job in a cluster."""
