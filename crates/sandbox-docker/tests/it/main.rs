//! Runs commands in containers of a daemon of the tests' own.

mod daemon;
mod ends;
mod lab;
mod lifetime;
mod limits;
mod roots;
mod walls;
mod watched;
