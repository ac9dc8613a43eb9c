//! Reads what was counted from a Prometheus, into the folder of a server that does not run.
