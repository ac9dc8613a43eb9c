//! What receivers are owed, and what they have been told.
