//! Interfaces whose calls are recorded by their names: clocks, random numbers, the command's
//! surroundings, polling.

use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::cli::WasiCliView as _;
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::p2::bindings::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr,
    terminal_stdin, terminal_stdout,
};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi_io::bindings::wasi::io::{error, poll};
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, Error};

use super::{Preview2, Stream, relay, relay_async};
use crate::errno::Ended as _;

impl wall_clock::Host for Preview2 {
    relay! { "wasi:clocks/wall-clock", wall_clock::Host, |me| &mut me.clocks();
        "now" fn now() -> Result<wall_clock::Datetime>;
        "resolution" fn resolution() -> Result<wall_clock::Datetime>;
    }
}

impl monotonic_clock::Host for Preview2 {
    relay! { "wasi:clocks/monotonic-clock", monotonic_clock::Host, |me| &mut me.clocks();
        "now" fn now() -> Result<u64>;
        "resolution" fn resolution() -> Result<u64>;
        "subscribe-instant" fn subscribe_instant(when: u64) -> Result<Resource<DynPollable>>;
        "subscribe-duration" fn subscribe_duration(length: u64) -> Result<Resource<DynPollable>>;
    }
}

impl random::Host for Preview2 {
    relay! { "wasi:random/random", random::Host, |me| me.ctx.random();
        "get-random-bytes" fn get_random_bytes(length: u64) -> Result<Vec<u8>>;
        "get-random-u64" fn get_random_u64() -> Result<u64>;
    }
}

impl insecure::Host for Preview2 {
    relay! { "wasi:random/insecure", insecure::Host, |me| me.ctx.random();
        "get-insecure-random-bytes" fn get_insecure_random_bytes(length: u64) -> Result<Vec<u8>>;
        "get-insecure-random-u64" fn get_insecure_random_u64() -> Result<u64>;
    }
}

impl insecure_seed::Host for Preview2 {
    relay! { "wasi:random/insecure-seed", insecure_seed::Host, |me| me.ctx.random();
        "insecure-seed" fn insecure_seed() -> Result<(u64, u64)>;
    }
}

impl exit::Host for Preview2 {
    relay! { "wasi:cli/exit", exit::Host, |me| &mut me.cli();
        "exit" fn exit(status: Result<(), ()>) -> Result<()>;
        "exit-with-code" fn exit_with_code(code: u8) -> Result<()>;
    }
}

impl environment::Host for Preview2 {
    relay! { "wasi:cli/environment", environment::Host, |me| &mut me.cli();
        "get-environment" fn get_environment() -> Result<Vec<(String, String)>>;
        "get-arguments" fn get_arguments() -> Result<Vec<String>>;
        "initial-cwd" fn initial_cwd() -> Result<Option<String>>;
    }
}

impl stdin::Host for Preview2 {
    fn get_stdin(&mut self) -> Result<Resource<DynInputStream>> {
        let result = stdin::Host::get_stdin(&mut self.cli());
        self.record("wasi:cli/stdin", "get-stdin", None, result.outcome());
        if let Ok(stream) = &result {
            self.streams.insert(stream.rep(), Stream::Standard("stdin"));
        }
        result
    }
}

impl stdout::Host for Preview2 {
    fn get_stdout(&mut self) -> Result<Resource<DynOutputStream>> {
        let result = stdout::Host::get_stdout(&mut self.cli());
        self.record("wasi:cli/stdout", "get-stdout", None, result.outcome());
        if let Ok(stream) = &result {
            self.streams.insert(stream.rep(), Stream::Standard("stdout"));
        }
        result
    }
}

impl stderr::Host for Preview2 {
    fn get_stderr(&mut self) -> Result<Resource<DynOutputStream>> {
        let result = stderr::Host::get_stderr(&mut self.cli());
        self.record("wasi:cli/stderr", "get-stderr", None, result.outcome());
        if let Ok(stream) = &result {
            self.streams.insert(stream.rep(), Stream::Standard("stderr"));
        }
        result
    }
}

impl terminal_input::Host for Preview2 {}
impl terminal_input::HostTerminalInput for Preview2 {
    relay! { "wasi:cli/terminal-input", terminal_input::HostTerminalInput, |me| &mut me.cli();
        "[resource-drop]terminal-input" fn drop(this: Resource<terminal_input::TerminalInput>) -> Result<()>;
    }
}

impl terminal_output::Host for Preview2 {}
impl terminal_output::HostTerminalOutput for Preview2 {
    relay! { "wasi:cli/terminal-output", terminal_output::HostTerminalOutput, |me| &mut me.cli();
        "[resource-drop]terminal-output" fn drop(this: Resource<terminal_output::TerminalOutput>) -> Result<()>;
    }
}

impl terminal_stdin::Host for Preview2 {
    relay! { "wasi:cli/terminal-stdin", terminal_stdin::Host, |me| &mut me.cli();
        "get-terminal-stdin" fn get_terminal_stdin() -> Result<Option<Resource<terminal_stdin::TerminalInput>>>;
    }
}

impl terminal_stdout::Host for Preview2 {
    relay! { "wasi:cli/terminal-stdout", terminal_stdout::Host, |me| &mut me.cli();
        "get-terminal-stdout" fn get_terminal_stdout() -> Result<Option<Resource<terminal_stdout::TerminalOutput>>>;
    }
}

impl terminal_stderr::Host for Preview2 {
    relay! { "wasi:cli/terminal-stderr", terminal_stderr::Host, |me| &mut me.cli();
        "get-terminal-stderr" fn get_terminal_stderr() -> Result<Option<Resource<terminal_stderr::TerminalOutput>>>;
    }
}

impl error::Host for Preview2 {}
impl error::HostError for Preview2 {
    relay! { "wasi:io/error", error::HostError, |me| me.ctx().table;
        "[method]error.to-debug-string" fn to_debug_string(this: Resource<Error>) -> Result<String>;
        "[resource-drop]error" fn drop(this: Resource<Error>) -> Result<()>;
    }
}

impl poll::Host for Preview2 {
    relay_async! { "wasi:io/poll", poll::Host, |me| me.ctx().table;
        "poll" fn poll(list: Vec<Resource<DynPollable>>) -> Result<Vec<u32>>;
    }
}

impl poll::HostPollable for Preview2 {
    relay_async! { "wasi:io/poll", poll::HostPollable, |me| me.ctx().table;
        "[method]pollable.block" fn block(this: Resource<DynPollable>) -> Result<()>;
        "[method]pollable.ready" fn ready(this: Resource<DynPollable>) -> Result<bool>;
    }
    relay! { "wasi:io/poll", poll::HostPollable, |me| me.ctx().table;
        "[resource-drop]pollable" fn drop(this: Resource<DynPollable>) -> Result<()>;
    }
}
