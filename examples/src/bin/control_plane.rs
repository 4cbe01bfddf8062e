//! The example control plane.

use std::alloc::System;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;

use audit_log_tower::TrustedProxies;
use palisade_examples::control_plane::{Server, Settings, StartError, StateSettings};
use palisade_examples::demo;

/// Tokens pass through buffers of the HTTP server and of the JSON writer, which nobody erases: whatever is given back
/// is erased here.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<System> = zeroizing_alloc::ZeroAlloc(System);

fn main() -> ExitCode {
    let settings = match Settings::parse(std::env::args_os().skip(1)) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, 2),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    match settings {
        Settings::Serve { listen, join_listen, proxies, data_dir, state } => {
            match runtime.block_on(serve(listen, join_listen, proxies, data_dir, state)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, 1),
            }
        }
        Settings::Demo { data_dir, state } => {
            match runtime.block_on(demo::run(data_dir, state, &mut io::stdout())) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, 1),
            }
        }
        _ => {
            let _ = writeln!(io::stdout(), "{}", Settings::usage());
            ExitCode::SUCCESS
        }
    }
}

async fn serve(
    listen: SocketAddr,
    join_listen: Option<SocketAddr>,
    proxies: TrustedProxies,
    data_dir: PathBuf,
    state: StateSettings,
) -> Result<(), StartError> {
    tracing_subscriber::fmt().json().with_writer(io::stderr).init();
    let stop = told_to_stop().map_err(|error| StartError::Io { what: "signals".into(), error })?;
    let mut server = Server::start(listen, &data_dir, &state).await?;
    server.trust(proxies);
    if let Some(listen) = join_listen {
        server.listen_for_joins(listen, &data_dir).await?;
    }
    // Not through the standard library's buffer, which keeps what was written until something is written over it.
    let out = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let mut out = out.map_err(|error| StartError::Io { what: "standard output".into(), error })?;
    if let Some(first_start) = server.take_first_start() {
        let shown = first_start
            .expose_token_once(|token| writeln!(out, "administrator token (shown this once): {token}"));
        shown.map_err(|error| StartError::Io { what: "standard output".into(), error })?;
    }
    if let Some(address) = server.joins_address() {
        let _ = writeln!(out, "machines join at {address}");
    }
    let _ = writeln!(out, "listening on http://{}", server.address());
    let _ = out.flush();
    server.serve(stop).await
}

/// Ends at SIGINT or SIGTERM. From the call on, neither ends the process by itself.
fn told_to_stop() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn fail(error: &dyn std::fmt::Display, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "control_plane: {error}");
    ExitCode::from(status)
}
