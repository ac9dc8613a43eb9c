//! What a run is given: the engine's own context with what was granted, and the kernel's wall around
//! the thread it runs on.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use sandbox::landlock::Ruleset;
use sandbox::{Net, Stdin};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use super::{Session, StepError};
use crate::grants::Capability;
use crate::host::RANDOM_BYTES_MAX;
use crate::preview2::{self, Allowed};

/// What clocks show in a deterministic run, in seconds since 1970 (2020-01-01) .
const FIXED_TIME_S: u64 = 1_577_836_800;
const FIXED_MONOTONIC_NS: u64 = 1_000_000_000;
/// Random bytes of a deterministic run, over and over.
const FIXED_RANDOM: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";
/// What looking a name up reads.
const RESOLVER_FILES: [&str; 6] =
    ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/lib", "/usr/lib"];

impl Session<'_> {
    fn granted(&self, capability: &Capability) -> bool {
        self.grants.contains(capability)
    }

    /// The addresses behind the granted peers, as they are now.
    pub(super) fn allowed(&self) -> Result<Allowed, StepError> {
        let mut allowed = Allowed::default();
        for grant in self.grants {
            let Capability::Network { host, port } = grant else { continue };
            if let Ok(ip) = host.parse() {
                allowed.addresses.push(SocketAddr::new(ip, *port));
            } else {
                let found = (host.as_str(), *port)
                    .to_socket_addrs()
                    .map_err(|error| ("find the address of a granted peer", error))?;
                allowed.addresses.extend(found);
                allowed.names.push(host.clone());
            }
        }
        Ok(allowed)
    }

    /// The engine's own context with what was granted, and the granted folders by their order in it.
    pub(super) fn context(
        &self,
        allowed: &Allowed,
    ) -> Result<(WasiCtxBuilder, Vec<String>), StepError> {
        let mut ctx = WasiCtxBuilder::new();
        ctx.stdout(self.stdout.clone())
            .stderr(self.stderr.clone())
            .max_random_size(RANDOM_BYTES_MAX);
        let words = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        if self.granted(&Capability::Args) {
            ctx.args(&self.spec.command.iter().map(|argument| words(argument)).collect::<Vec<_>>());
        }
        if self.granted(&Capability::Env) {
            let env = self.spec.env.iter().map(|(name, value)| (words(name), words(value)));
            ctx.envs(&env.collect::<Vec<_>>());
        }
        if self.granted(&Capability::Stdin) && self.spec.stdin == Stdin::Inherit {
            ctx.inherit_stdin();
        }
        if self.spec.wasm.deterministic {
            ctx.wall_clock(Fixed).monotonic_clock(Fixed).insecure_random_seed(0);
            ctx.secure_random(wasmtime_wasi::random::Deterministic::new(FIXED_RANDOM.to_vec()));
            ctx.insecure_random(wasmtime_wasi::random::Deterministic::new(FIXED_RANDOM.to_vec()));
        }
        for folder in self.folders {
            let perms = if folder.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            ctx.preopened_dir(&folder.host, &folder.guest, perms).map_err(|error| {
                ("open a granted folder", io::Error::other(format!("{error:#}")))
            })?;
        }
        ctx.allow_tcp(!allowed.addresses.is_empty()).allow_udp(false);
        ctx.allow_ip_name_lookup(!allowed.names.is_empty());
        let addresses = allowed.addresses.clone();
        ctx.socket_addr_check(move |address, what| {
            let granted = match what {
                SocketAddrUse::TcpConnect => addresses.contains(&address),
                SocketAddrUse::TcpBind => preview2::any(address),
                _ => false,
            };
            Box::pin(async move { granted })
        });
        Ok((ctx, self.folders.iter().map(|folder| folder.guest.clone()).collect()))
    }

    /// Puts Landlock on this thread and on what it starts: should a path find its way out of the
    /// engine's own checks, the kernel still refuses it.
    pub(super) fn wall_in(&self, allowed: &Allowed) -> Result<String, StepError> {
        let of = |writable: bool| {
            self.folders
                .iter()
                .filter(move |folder| folder.writable == writable)
                .map(|folder| folder.host.clone())
        };
        let mut readable: Vec<PathBuf> = of(false).collect();
        let writable: Vec<PathBuf> = of(true).collect();
        if !allowed.names.is_empty() {
            readable.extend(RESOLVER_FILES.iter().map(PathBuf::from));
        }
        let net = if allowed.addresses.is_empty() { Net::None } else { Net::Loopback };
        let ruleset = Ruleset::beneath(&readable, &writable, net)
            .map_err(|error| ("build the Landlock rules of the module's thread", error))?;
        if ruleset.describe().starts_with("off") {
            return Ok(ruleset.describe().to_owned());
        }
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| ("give up new privileges", error.into()))?;
        ruleset.restrict().map_err(|error| ("put Landlock on the module's thread", error))?;
        Ok(format!(
            "on the module's thread: reads below {} granted folders, writes below {}{}",
            self.folders.len(),
            writable.len(),
            if net == Net::None { ", no TCP" } else { "" }
        ))
    }
}

/// Clocks that stand still.
struct Fixed;

impl HostWallClock for Fixed {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(FIXED_TIME_S)
    }
}

impl HostMonotonicClock for Fixed {
    fn resolution(&self) -> u64 {
        FIXED_MONOTONIC_NS
    }

    fn now(&self) -> u64 {
        FIXED_MONOTONIC_NS
    }
}
