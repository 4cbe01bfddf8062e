//! The port that machines join at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use state_store::StateStore;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::session::Session;
use crate::control_plane::startup::StartError;
use crate::control_plane::state::ControlPlane;
use crate::join::tls::{AnyCertificate, channel, server_config};

/// A socket that nobody is accepted at yet.
pub(crate) struct JoinListener {
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
}

impl JoinListener {
    pub(crate) async fn bind<S: StateStore>(
        plane: &ControlPlane<S>,
        listen: SocketAddr,
    ) -> Result<Self, StartError> {
        let joins = plane.joins().map_err(|error| StartError::part("joins")(error.message()))?;
        let tls = server_config(&joins.machine, AnyCertificate::new()).map_err(StartError::part("TLS"))?;
        let listener = TcpListener::bind(listen).await.map_err(StartError::io(listen.to_string()))?;
        let address = listener.local_addr().map_err(StartError::io("the listening socket"))?;
        Ok(Self { listener, address, tls: TlsAcceptor::from(tls) })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `closed`, then lets what is being stored come to its end.
    pub(crate) async fn serve<S: StateStore>(
        self,
        plane: Arc<ControlPlane<S>>,
        mut closed: watch::Receiver<bool>,
    ) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = closed.wait_for(|closed| *closed) => break,
                Some(_) = sessions.join_next() => continue,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of descriptors, most likely: not a reason to spin.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
            let (plane, tls, closed) = (Arc::clone(&plane), self.tls.clone(), closed.clone());
            sessions.spawn(async move {
                serve(plane, tls, stream, peer, closed).await;
                drop(permit);
            });
        }
        let ended = async { while sessions.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, ended).await;
    }
}

async fn serve<S: StateStore>(
    plane: Arc<ControlPlane<S>>,
    tls: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    closed: watch::Receiver<bool>,
) {
    let shaken = async {
        stream.set_nodelay(true)?;
        tls.accept(stream).await
    };
    let Ok(Ok(mut stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, shaken).await else { return };
    let Ok(channel) = channel(stream.get_ref().1) else { return };
    let session = Session { plane: &plane, stream: &mut stream, channel, source: peer.ip(), closed };
    if let Err(error) = session.run().await {
        tracing::info!(%peer, %error, "a join's connection ended");
    }
}

/// Each holds a few kilobytes; who proves nothing is gone within a few seconds.
const MAX_CONNECTIONS: usize = 512;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
