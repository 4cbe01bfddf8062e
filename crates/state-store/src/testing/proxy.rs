//! A proxy on the loopback interface that can be told to misbehave, to stand between a store and its server.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What the proxy does with what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Passes it on.
    None,
    /// Ends every connection, and takes no new one.
    Cut,
    /// Keeps connections, and holds back all that comes, in both directions.
    Stall,
    /// Passes on what the client sends, and throws away what the server answers.
    LoseAnswers,
}

/// The proxy; it ends with its last connection after this is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl FaultProxy {
    /// A proxy in front of `upstream`, without a fault as yet.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let state = State { fault: Fault::None, is_over: false, open: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = serving.lock();
                if state.is_over {
                    return;
                }
                let is_cut = state.fault == Fault::Cut;
                drop(state);
                // A connection that is dropped here is ended.
                if !is_cut && let Ok(server) = TcpStream::connect(upstream) {
                    let _ = join(&serving, client, server);
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Misbehaves like this from now on; [`Fault::None`] ends it.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.lock();
        state.fault = fault;
        if fault == Fault::Cut {
            for stream in state.open.drain(..) {
                // It may be closed already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.set(Fault::Cut);
        self.shared.lock().is_over = true;
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.address);
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    is_over: bool,
    open: Vec<TcpStream>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves bytes between the two, in threads of their own.
fn join(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    shared.lock().open.extend([client.try_clone()?, server.try_clone()?]);
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let (asking, answering) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(move || pump(&asking, from_client, to_server, false));
    thread::spawn(move || pump(&answering, server, client, true));
    Ok(())
}

fn pump(shared: &Shared, mut from: TcpStream, mut to: TcpStream, is_answer: bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        let held = |state: &mut State| state.fault == Fault::Stall;
        let state = shared.changed.wait_while(shared.lock(), held).unwrap_or_else(PoisonError::into_inner);
        let is_lost = is_answer && state.fault == Fault::LoseAnswers;
        drop(state);
        if !is_lost && to.write_all(bytes).is_err() {
            break;
        }
    }
    // The other direction ends with this one.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
