//! The verdict from the outside: synthetic recordings in, assessments out.

mod benign;
mod evidence;
mod hostile;
mod properties;
mod trace;
