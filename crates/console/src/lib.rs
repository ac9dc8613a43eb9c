//! Web pages over the services: budgets, objectives, traces, health.
