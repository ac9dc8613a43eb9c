//! Rule sets that others write: Sigma over the events of a run, YARA over bytes.
