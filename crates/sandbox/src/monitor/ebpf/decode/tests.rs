//! Records made up for the tests.
