//! One connection of a join.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use join_hmac::join::{
    AwaitDecision, AwaitDone, Challenged, Channel, Decided, JoinSecret, Joiner, JoinerRecord,
};
use join_hmac::trust::MemberEntry;
use join_hmac::wire::{MAX_FRAME_LEN, MAX_LONG_FRAME_LEN};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Agent, AgentError, Said, stopped};
use crate::join::tls::{AnyCertificate, channel, client_config, server_name};
use crate::join::{LinkError, frames};

/// One try.
pub(super) struct Attempt<'a> {
    pub(super) agent: &'a Agent,
    pub(super) entry: &'a MemberEntry,
    pub(super) to: SocketAddr,
    pub(super) say: &'a mut (dyn FnMut(Said) + Send),
    pub(super) stop: watch::Receiver<bool>,
}

type Stream = TlsStream<TcpStream>;

impl Attempt<'_> {
    /// A new join.
    pub(super) async fn begin(&mut self, secret: &mut JoinSecret) -> Result<(), AgentError> {
        let (mut stream, channel) = self.connect().await?;
        let agent = self.agent;
        let identity = Arc::clone(agent.machine.identity());
        let started =
            Joiner::start(identity, self.entry.clone(), secret, channel, agent.now(), &agent.random);
        let (mut joiner, mut hello) = started.map_err(LinkError::from)?;
        let joiner = loop {
            frames::send(&mut stream, &hello).await?;
            let frame = frames::read(&mut stream, MAX_FRAME_LEN, ANSWER_TIMEOUT).await?;
            match joiner.receive(&frame, agent.now(), &agent.random).map_err(LinkError::from)? {
                Challenged::Again(again, frame) => (joiner, hello) = (again, frame),
                Challenged::Proven(joiner, proof) => {
                    frames::send(&mut stream, &proof).await?;
                    break joiner;
                }
            }
        };
        self.decided(stream, joiner).await
    }

    /// A join that was interrupted.
    pub(super) async fn resume(&mut self, record: &JoinerRecord) -> Result<(), AgentError> {
        (self.say)(Said::Resuming);
        let (mut stream, channel) = self.connect().await?;
        let resumed = record.resume(channel, self.agent.now(), &self.agent.random);
        let (joiner, frame) = resumed.map_err(LinkError::from)?;
        frames::send(&mut stream, &frame).await?;
        self.done(stream, joiner).await
    }

    async fn connect(&mut self) -> Result<(Stream, Channel), AgentError> {
        let connector = TlsConnector::from(client_config(&self.agent.machine, AnyCertificate::new())?);
        let connected = async {
            let tcp = TcpStream::connect(self.to).await?;
            tcp.set_nodelay(true)?;
            connector.connect(server_name(), tcp).await
        };
        let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
        let connected = tokio::time::timeout(ANSWER_TIMEOUT, connected).await;
        let stream = connected.unwrap_or_else(|_| Err(late())).map_err(LinkError::from)?;
        let channel = channel(stream.get_ref().1)?;
        Ok((stream, channel))
    }

    /// Waits for somebody's decision. Who stops the agent here tells the other side.
    async fn decided(
        &mut self,
        mut stream: Stream,
        mut joiner: Joiner<AwaitDecision>,
    ) -> Result<(), AgentError> {
        loop {
            let frame = tokio::select! {
                frame = frames::read(&mut stream, MAX_LONG_FRAME_LEN, DECISION_TIMEOUT) => frame?,
                () = stopped(self.stop.clone()) => {
                    frames::send_last(&mut stream, &joiner.abort()).await;
                    return Err(AgentError::Stopped);
                }
            };
            match joiner.receive(&frame, self.agent.now()).map_err(LinkError::from)? {
                Decided::Pending(waiting) => {
                    let intent = waiting.intent();
                    let id = intent.id().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                    (self.say)(Said::Waiting { intent: id, words: intent.words().to_owned() });
                    joiner = waiting;
                }
                Decided::Accepted(accepted, record) => {
                    self.agent.store(&record)?;
                    let (joiner, installed) = accepted.installed();
                    frames::send(&mut stream, &installed).await?;
                    return self.done(stream, joiner).await;
                }
            }
        }
    }

    async fn done(&mut self, mut stream: Stream, joiner: Joiner<AwaitDone>) -> Result<(), AgentError> {
        let frame = frames::read(&mut stream, MAX_LONG_FRAME_LEN, ANSWER_TIMEOUT).await?;
        let joined = joiner.receive(&frame, self.agent.now()).map_err(LinkError::from)?;
        self.agent.store(joined.record())
    }
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// As long as a join may take at all.
const DECISION_TIMEOUT: Duration = join_hmac::join::MAX_LIFETIME;
