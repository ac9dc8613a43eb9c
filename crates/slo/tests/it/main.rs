//! Tests with the programs that objectives are generated for, and against them: one binary, one module
//! per question.

mod agreement;
mod catalogs;
mod committed;
mod configurations;
mod dashboards;
mod document;
mod month;
mod pipelines;
mod programs;
mod prometheus;
mod rules;
