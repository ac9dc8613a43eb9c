//! The `shieldx` program: parse, validate, one match. Everything else is in the library.

use std::process::ExitCode;

use shieldx::args::{Args, Parsed};
use shieldx::environment::Environment;
use shieldx::request::Request;
use shieldx::{commands, failure, matching, up};

/// Requests allocate a great deal and free it on other threads. It takes its locks before a fork and
/// gives them back in both processes after it (`pthread_atfork`), which the sandbox relies on.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let environment = Environment::read();
    matching::keep_in_cache_of(&environment);
    let args = match Args::read(&environment) {
        Parsed::Args(args) => args,
        Parsed::Answered(exit) => return exit.into(),
    };
    let result = Request::validate(args, &environment).and_then(|request| match request {
        Request::Run(request) => commands::run::run(&request, &environment),
        Request::Replay(request) => commands::replay::replay(&request, &environment),
        Request::Diff(request) => commands::diff::diff(&request, &environment),
        Request::Doctor(request) => commands::inventory::doctor(&request, &environment),
        Request::Detectors(request) => commands::inventory::detectors(&request),
        Request::Rules(request) => commands::rules::rules(&request),
        Request::Completions(request) => commands::inventory::completions(request),
        Request::Submit(request) => commands::submit::submit(&request, &environment),
        Request::Get(request) => commands::get::get(&request, &environment),
        Request::List(request) => commands::get::list(&request),
        Request::Health(request) => commands::health::health(&request),
        Request::Up(request) => up::up(&request, &environment),
        Request::Key(request) => commands::key::key(&request),
        Request::Config(request) => commands::inventory::settings(&request),
        Request::Trace(request) => commands::trace::trace(&request),
        Request::Slo(request) => commands::slo::slo(&request),
        Request::Load(request) => commands::load::load(&request),
        Request::Worker { spare, rules } => {
            commands::worker::worker(&environment, spare.then_some(rules))
        }
        #[cfg(feature = "sandbox-microvm")]
        Request::Guest => shieldx::guest::guest(),
    });
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => failure::report(&failure, &environment).into(),
    }
}
