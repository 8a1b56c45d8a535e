"""The graph, once: run on this machine (`local`), or compiled for Kubeflow (`graph.compile_to`)."""
