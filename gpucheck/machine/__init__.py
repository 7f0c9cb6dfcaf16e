"""`Machine`: the facts of all probes and the catalogue, put together and frozen."""
