//! Tests of what is generated, with the programs it is made for: one binary, one module per question.

mod catalogs;
mod committed;
mod programs;
mod rules;
