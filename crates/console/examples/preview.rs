//! The pages over thirty synthetic days, to look at without a server:
//! `cargo run -p console --example preview`, then open <http://127.0.0.1:8098/>.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use console::Config;
use runtime::clock::{Clock as _, System};
use runtime::http::server::{self, Limits};

#[path = "../tests/it/fixture.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod fixture;

#[expect(clippy::print_stdout, reason = "it says where to look, and that nothing of it is real")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config { address: "127.0.0.1:8098".parse()?, ..Config::default() };
    let scene = fixture::Scene::new(Arc::new(System), 30, &config, None);
    let listener = server::bind(config.address).await?;
    println!("SYNTHETIC data of 30 days on http://{}/", config.address);
    let router = scene.console.router();
    server::serve(listener, None, router, Limits::internal(), scene.tasks.clone(), "preview");
    let made = Arc::clone(&scene.made);
    scene.tasks.every("preview", Duration::from_secs(10), move || {
        let made = Arc::clone(&made);
        async move {
            made.advance(System.now_us());
            made.evaluate();
        }
    });
    tokio::signal::ctrl_c().await?;
    scene.tasks.shutdown().begin();
    scene.tasks.shutdown().drained(Duration::from_secs(5)).await;
    Ok(())
}
