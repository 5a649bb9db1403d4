"""Stand-ins for servers, each as thin as can be over something real."""
