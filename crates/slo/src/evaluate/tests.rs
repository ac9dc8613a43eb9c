//! Statuses by hand and by simulation.
