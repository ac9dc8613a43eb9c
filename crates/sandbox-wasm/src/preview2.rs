//! The host of a component: the interfaces of WASI 0.2's command world, each call on the record.
//!
//! The traits that the engine's bindings define are implemented here, function by function, by
//! handing on to the engine's own implementation and writing down what was asked and what came out.
//! The linker has nothing but these. Dropping a handle is a call like any other
//! (`[resource-drop]…`).

mod files;
mod plain;
mod sockets;
mod streams;

pub(crate) use self::sockets::any;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use types::Endpoint;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets as net};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::analysis::Import;
use crate::host::Host;
use crate::trace::{FileKey, Outcome};

/// State of a component's host.
pub(crate) struct Preview2 {
    ctx: WasiCtx,
    table: ResourceTable,
    pub host: Host,
    /// Interfaces with the version the component names, by their name without one.
    interfaces: BTreeMap<String, String>,
    /// What handles stand for, by their number in the table.
    descriptors: HashMap<u32, Descriptor>,
    streams: HashMap<u32, Stream>,
    peers: HashMap<u32, SocketAddr>,
    allowed: Allowed,
}

/// Peers that were granted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowed {
    /// Names that may be looked up, lower case.
    pub names: Vec<String>,
    pub addresses: Vec<SocketAddr>,
}

#[derive(Debug, Clone)]
struct Descriptor {
    path: String,
    key: FileKey,
    /// Opened by the component, not given to it.
    counted: bool,
}

#[derive(Debug, Clone)]
enum Stream {
    /// `stdin`, `stdout`, `stderr`.
    Standard(&'static str),
    File(Descriptor),
    Peer(Endpoint, FileKey),
}

impl WasiView for Preview2 {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

/// Handles of all kinds in one run, at most.
const HANDLES_MAX: usize = 10_000;

impl Preview2 {
    pub(crate) fn new(ctx: WasiCtx, host: Host, allowed: Allowed, imports: &[Import]) -> Self {
        let interfaces = imports.iter().filter_map(|import| {
            let (name, _) = import.interface.split_once('@')?;
            Some((name.to_owned(), import.interface.clone()))
        });
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self {
            ctx,
            table,
            host,
            interfaces: interfaces.collect(),
            descriptors: HashMap::new(),
            streams: HashMap::new(),
            peers: HashMap::new(),
            allowed,
        }
    }

    /// A call that is recorded by its name.
    fn record(&mut self, interface: &str, function: &str, target: Option<&str>, outcome: Outcome) {
        let full = self.interfaces.get(interface).map_or(interface, String::as_str);
        self.host.trace.call(full, function, target, outcome);
    }
}

/// Puts the traced interfaces into a linker.
pub(crate) fn add_to_linker(l: &mut Linker<Preview2>) -> wasmtime::Result<()> {
    type Own = HasSelf<Preview2>;
    fn own(host: &mut Preview2) -> &mut Preview2 {
        host
    }
    io::error::add_to_linker::<_, Own>(l, own)?;
    io::poll::add_to_linker::<_, Own>(l, own)?;
    io::streams::add_to_linker::<_, Own>(l, own)?;
    clocks::wall_clock::add_to_linker::<_, Own>(l, own)?;
    clocks::monotonic_clock::add_to_linker::<_, Own>(l, own)?;
    random::random::add_to_linker::<_, Own>(l, own)?;
    random::insecure::add_to_linker::<_, Own>(l, own)?;
    random::insecure_seed::add_to_linker::<_, Own>(l, own)?;
    cli::exit::add_to_linker::<_, Own>(l, own)?;
    cli::environment::add_to_linker::<_, Own>(l, own)?;
    cli::stdin::add_to_linker::<_, Own>(l, own)?;
    cli::stdout::add_to_linker::<_, Own>(l, own)?;
    cli::stderr::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_input::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_output::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_stdin::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_stdout::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_stderr::add_to_linker::<_, Own>(l, own)?;
    filesystem::preopens::add_to_linker::<_, Own>(l, own)?;
    filesystem::types::add_to_linker::<_, Own>(l, own)?;
    let options = net::network::LinkOptions::default();
    net::network::add_to_linker::<_, Own>(l, &options, own)?;
    net::instance_network::add_to_linker::<_, Own>(l, own)?;
    net::ip_name_lookup::add_to_linker::<_, Own>(l, own)?;
    net::tcp_create_socket::add_to_linker::<_, Own>(l, own)?;
    net::tcp::add_to_linker::<_, Own>(l, own)?;
    net::udp_create_socket::add_to_linker::<_, Own>(l, own)?;
    net::udp::add_to_linker::<_, Own>(l, own)
}

/// Functions that are handed on and recorded by their names. `via` says what is handed on to.
macro_rules! relay {
    ($interface:literal, $trait:path, |$me:ident| $via:expr;
     $($wit:literal fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty;)*) => {$(
        fn $name(&mut self, $($arg: $ty),*) -> $out {
            let result = {
                let $me = &mut *self;
                <_ as $trait>::$name($via, $($arg),*)
            };
            self.record($interface, $wit, None, $crate::errno::Ended::outcome(&result));
            result
        }
    )*};
}

/// The same for functions that may wait.
macro_rules! relay_async {
    ($interface:literal, $trait:path, |$me:ident| $via:expr;
     $($wit:literal fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty;)*) => {$(
        async fn $name(&mut self, $($arg: $ty),*) -> $out {
            let result = {
                let $me = &mut *self;
                <_ as $trait>::$name($via, $($arg),*).await
            };
            self.record($interface, $wit, None, $crate::errno::Ended::outcome(&result));
            result
        }
    )*};
}

use {relay, relay_async};
