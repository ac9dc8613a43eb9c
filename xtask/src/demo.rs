//! `cargo xtask demo-health`: a whole server with a real Prometheus and Alertmanager beside it, half a
//! minute of synthetic load, and then what `shieldx health` says of all of them.
//!
//! Everything is on loopback, on ports that were free, in a temporary folder, and stopped at the end,
//! also at one that Ctrl-C or SIGTERM brings.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

/// How long anything may take to start.
const START_MAX: Duration = Duration::from_secs(60);
const LOAD_FOR: &str = "30s";
const SERVICES: [&str; 6] =
    ["ingress", "gateway", "contauth", "verifier-pool", "ml-service", "console"];

/// A process that ends with the demonstration, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        // SIGTERM first: a server that is killed outright leaves its runs to be swept by the next.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(15);
        while Instant::now() < end {
            if matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a signal wants it to end. What runs is asked between two steps and stopped in order.
#[derive(Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        let stop = Self::default();
        let flag = Arc::clone(&stop.0);
        let (ready, listens) = mpsc::channel();
        std::thread::spawn(move || -> std::io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut interrupt = signal(SignalKind::interrupt())?;
                let mut terminate = signal(SignalKind::terminate())?;
                // Nobody who waits for it has gone.
                let _ = ready.send(());
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                flag.store(true, Ordering::Release);
                Ok(())
            })
        });
        listens.recv().context("signals cannot be listened for")?;
        Ok(stop)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Acquire) {
            bail!("stopped by a signal");
        }
        Ok(())
    }
}

pub(crate) fn health(root: &Path) -> anyhow::Result<()> {
    let shieldx = build(root)?;
    let stop = Stop::listen()?;
    let folder = std::env::temp_dir().join(format!("shieldx-demo-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = demonstrate(&shieldx, &folder, &stop);
    let removed = fs::remove_dir_all(&folder);
    done.and(removed.context("the demonstration's folder stays"))
}

fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let status = Command::new(env!("CARGO")).args(["build"]).current_dir(root).status()?;
    if !status.success() {
        bail!("it does not build");
    }
    let this = std::env::current_exe().context("this program's own file")?;
    let folder = this.parent().context("a folder")?;
    Ok(folder.join("shieldx"))
}

fn demonstrate(shieldx: &Path, folder: &Path, stop: &Stop) -> anyhow::Result<()> {
    let ports = free_ports::<9>()?;
    let [public, prometheus, alertmanager, services @ ..] = &ports;
    let address = |port: &u16| format!("127.0.0.1:{port}");
    let alertmanager_url = format!("http://{}", address(alertmanager));
    let prometheus_url = format!("http://{}", address(prometheus));
    let settings = settings(*public, services, &alertmanager_url, &prometheus_url);
    fs::write(folder.join("shieldx.toml"), settings)?;
    let data = folder.join("data");
    let _server = serve(shieldx, folder, &data)?;
    stop.check()?;
    let observability = folder.join("observability");
    generate(shieldx, &observability, services)?;
    let mut beside = Vec::new();
    match start_alertmanager(&observability, folder, &address(alertmanager), stop) {
        Some(child) => beside.push(child),
        None => eprintln!("alertmanager is not installed (prometheus-alertmanager): left out"),
    }
    match start_prometheus(&observability, folder, &address(prometheus), stop) {
        Some(child) => beside.push(child),
        None => eprintln!("prometheus is not installed: left out"),
    }
    let run = |arguments: &[&str]| -> anyhow::Result<bool> {
        let mut command = Command::new(shieldx);
        let child = command.args(arguments).arg("--data").arg(&data).spawn()?;
        let mut running = Running(child);
        loop {
            stop.check()?;
            if let Some(status) = running.0.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    run(&["load", "--for", LOAD_FOR])?;
    eprintln!();
    run(&["slo", "status"])?;
    eprintln!();
    if !run(&["health"])? {
        bail!("something is down: the lines above say what and what to do");
    }
    Ok(())
}

/// Ports that nobody listens on now.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut listeners = Vec::new();
    for _ in 0..N {
        listeners.push(TcpListener::bind("127.0.0.1:0")?);
    }
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn settings(public: u16, services: &[u16], alertmanager: &str, prometheus: &str) -> String {
    let mut text = String::from("[log]\nfilter = \"warn\"\n");
    for (service, port) in SERVICES.iter().zip(services) {
        // Writing into a string does not fail.
        let _ = match *service {
            "ingress" => writeln!(
                text,
                "[ingress]\npublic = \"127.0.0.1:{public}\"\ninternal = \"127.0.0.1:{port}\""
            ),
            "gateway" => writeln!(
                text,
                "[gateway]\naddress = \"127.0.0.1:0\"\ninternal = \"127.0.0.1:{port}\""
            ),
            _ => writeln!(text, "[{service}]\naddress = \"127.0.0.1:{port}\""),
        };
    }
    let _ = writeln!(text, "[ledger]\nalertmanagers = [\"{alertmanager}\"]");
    let _ = writeln!(text, "[observability]\nprometheus = \"{prometheus}\"");
    text
}

fn serve(shieldx: &Path, folder: &Path, data: &Path) -> anyhow::Result<Running> {
    let mut child = Command::new(shieldx)
        .args(["up", "--config"])
        .arg(folder.join("shieldx.toml"))
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("shieldx does not start")?;
    let lines = BufReader::new(child.stdout.take().context("it has no output")?);
    let running = Running(child);
    for line in lines.lines() {
        let line = line?;
        eprintln!("{line}");
        if line.contains("ready on") {
            return Ok(running);
        }
    }
    bail!("shieldx ended before it was ready")
}

fn generate(shieldx: &Path, out: &Path, services: &[u16]) -> anyhow::Result<()> {
    let mut command = Command::new(shieldx);
    command.args(["slo", "generate", "--out"]).arg(out);
    for (service, port) in SERVICES.iter().zip(services) {
        command.args(["--target", &format!("{service}=127.0.0.1:{port}")]);
    }
    if !command.status()?.success() {
        bail!("shieldx slo generate failed");
    }
    Ok(())
}

fn start_prometheus(
    observability: &Path,
    folder: &Path,
    address: &str,
    stop: &Stop,
) -> Option<Running> {
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", observability.join("prometheus/prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--enable-feature=exemplar-storage")
        .arg("--log.level=error")
        .stdin(Stdio::null())
        .spawn()
        .ok()?;
    let running = Running(child);
    wait(address, stop);
    Some(running)
}

fn start_alertmanager(
    observability: &Path,
    folder: &Path,
    address: &str,
    stop: &Stop,
) -> Option<Running> {
    let configuration = observability.join("alertmanager/alertmanager.yml");
    let child = Command::new("prometheus-alertmanager")
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .arg("--log.level=error")
        .stdin(Stdio::null())
        .spawn()
        .ok()?;
    let running = Running(child);
    wait(address, stop);
    Some(running)
}

/// Until somebody listens there.
fn wait(address: &str, stop: &Stop) {
    let end = Instant::now() + START_MAX;
    while Instant::now() < end
        && stop.check().is_ok()
        && std::net::TcpStream::connect(address).is_err()
    {
        std::thread::sleep(Duration::from_millis(100));
    }
}
