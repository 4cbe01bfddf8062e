//! One connection of a machine.

use std::net::IpAddr;
use std::time::Duration;

use audit_log::{Completion, Public};
use core_types::Clock as _;
use join_hmac::error::JoinError;
use join_hmac::join::{
    Admitting, Approval, AwaitApproval, AwaitInstalled, Channel, HelloOutcome, Initiator, JoinEvent,
    ProofOutcome, ResumeOutcome, SessionId,
};
use join_hmac::ticket::TicketId;
use join_hmac::wire::{MAX_FIRST_FRAME_LEN, MAX_FRAME_LEN, Opening};
use state_store::StateStore;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

use super::Joins;
use super::changes::{NotLetIn, bare_intent, intent};
use super::waiting::Verdict;
use crate::control_plane::api_error::ApiError;
use crate::control_plane::state::ControlPlane;
use crate::join::{LinkError, frames};

/// A connection whose handshake is finished.
pub(super) struct Session<'a, S> {
    pub(super) plane: &'a ControlPlane<S>,
    pub(super) stream: &'a mut TlsStream<TcpStream>,
    pub(super) channel: Channel,
    pub(super) source: IpAddr,
    pub(super) closed: watch::Receiver<bool>,
}

/// Why it ended early. The machine was told, or the connection is gone.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{}", .0.message())]
    Api(ApiError),
    #[error("the server stops")]
    Closed,
}

impl From<ApiError> for Ended {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<JoinError> for Ended {
    fn from(error: JoinError) -> Self {
        Self::Link(error.into())
    }
}

impl<S: StateStore> Session<'_, S> {
    pub(super) async fn run(mut self) -> Result<(), Ended> {
        let first = self.read(MAX_FIRST_FRAME_LEN).await?;
        match Opening::of(&first).map_err(LinkError::from)? {
            Opening::Hello => self.hello(first).await,
            Opening::Resume => self.resume(&first).await,
        }
    }

    async fn hello(mut self, mut frame: Vec<u8>) -> Result<(), Ended> {
        let joins = self.plane.joins()?;
        let mut is_second = false;
        let (answer, number) = loop {
            let (plane, channel, source) = (self.plane, &self.channel, self.source);
            let (cluster, times) = (plane.cluster().await?, (joins.now(), plane.clock.now()));
            let (outcome, number) = joins.with_window(&plane.random, |window, number| {
                (window.hello(&frame, source, channel, &*cluster, times, &plane.random), number)
            })?;
            match outcome {
                HelloOutcome::Challenge(answer) => break (answer, number),
                HelloOutcome::Retry(_) if is_second => return Err(JoinError::Busy.into()),
                HelloOutcome::Retry(retry) => {
                    frames::send(self.stream, &retry).await?;
                    frame = self.read(MAX_FIRST_FRAME_LEN).await?;
                    is_second = true;
                }
                HelloOutcome::Refused(answer, reason) => return self.refused(&answer, reason).await,
            }
        };
        let proof = match frames::send(self.stream, &answer.frame).await {
            Ok(()) => self.read(MAX_FRAME_LEN).await,
            Err(error) => Err(error.into()),
        };
        let proof = match proof {
            Ok(proof) => proof,
            Err(error) => {
                self.gone(joins, answer.session, number).await?;
                return Err(error);
            }
        };
        let (cluster, times) = (self.plane.cluster().await?, (joins.now(), self.plane.clock.now()));
        let outcome = joins.with_window(&self.plane.random, |window, present| {
            // What was half open in a window that is closed is gone.
            (present == number).then(|| window.proof(answer.session, &proof, &*cluster, times))
        })?;
        self.tell(joins).await?;
        match outcome {
            None => Err(JoinError::TimedOut.into()),
            Some(ProofOutcome::Refused(answer, reason)) => self.refused(&answer, reason).await,
            Some(ProofOutcome::Proven(initiator)) => self.proven(joins, initiator).await,
        }
    }

    async fn proven(mut self, joins: &Joins, initiator: Initiator<AwaitApproval>) -> Result<(), Ended> {
        let asked = intent(self.plane, PROVE, self.source, initiator.intent().entry())?;
        let by = initiator.ticket().map_or_else(|| "code".to_owned(), |id| format!("ticket {id}"));
        let by = Public::text(by).map_err(|_| ApiError::internal())?;
        let asked = asked.with_detail("secret", by).map_err(|_| ApiError::internal())?;
        self.plane.journal.note(asked, Completion::allowed(Duration::ZERO)).await?;
        let let_in = match initiator.ticket() {
            Some(ticket) => self.by_ticket(initiator, ticket).await,
            None => self.by_operator(joins, initiator).await?,
        };
        match let_in {
            Ok((initiator, members)) => self.installed(initiator, &members).await,
            Err(not) => {
                if let Some(frame) = &not.frame {
                    frames::send_last(self.stream, frame).await;
                }
                Err(not.error.into())
            }
        }
    }

    /// Who made the ticket has approved what it lets in.
    async fn by_ticket(
        &self,
        initiator: Initiator<AwaitApproval>,
        ticket: TicketId,
    ) -> Result<(Initiator<AwaitInstalled>, Vec<u8>), NotLetIn> {
        let approval = Approval::by(&format!("ticket {ticket}"), initiator.intent().id());
        let approval = approval.map_err(|_| ApiError::internal())?;
        let begun = intent(self.plane, APPROVE, self.source, initiator.intent().entry())?;
        let open = self.plane.journal.begin(begun).await;
        let open = open.map_err(|_| ApiError::unavailable("the audit log takes no entry"))?;
        let outcome = self.plane.let_in(initiator, &approval).await;
        let error = outcome.as_ref().err().map(|not| &not.error);
        let finished = open.finish_at(Some(self.plane.reached()), error).await;
        finished.map_err(|_| ApiError::outcome_unknown())?;
        outcome
    }

    /// Asks an operator, until one decides, the machine gives up, or the time is over.
    async fn by_operator(
        &mut self,
        joins: &Joins,
        initiator: Initiator<AwaitApproval>,
    ) -> Result<Result<(Initiator<AwaitInstalled>, Vec<u8>), NotLetIn>, Ended> {
        let id = initiator.intent().id();
        // First, so that whoever reads the words off the machine's screen finds them on the other.
        let mut verdict = joins.wait_for(initiator.intent().clone(), self.source, self.plane.clock.now())?;
        if let Err(error) = frames::send(self.stream, &initiator.pending()).await {
            joins.waits_no_more(&id);
            return Err(error.into());
        }
        let said = tokio::select! {
            verdict = &mut verdict => Ok(verdict.unwrap_or(Verdict::Refused)),
            frame = frames::read(self.stream, MAX_FRAME_LEN, join_hmac::join::MAX_LIFETIME) => Err(Some(frame)),
            _ = self.closed.wait_for(|closed| *closed) => Err(None),
        };
        joins.waits_no_more(&id);
        let (approval, told) = match said {
            Ok(Verdict::Approved(approval, told)) => (approval, told),
            Ok(Verdict::Refused) => {
                frames::send_last(self.stream, &initiator.reject()).await;
                return Err(JoinError::Aborted.into());
            }
            Err(gone) => {
                let why = match gone {
                    Some(Ok(frame)) => initiator.receive(&frame).into(),
                    Some(Err(error)) => error.into(),
                    None => {
                        frames::send_last(self.stream, &initiator.reject()).await;
                        Ended::Closed
                    }
                };
                // Somebody may have approved at this very moment: then that is not done, and said so.
                if let Ok(Verdict::Approved(_, told)) = verdict.try_recv() {
                    let _ = told.send(Err(ApiError::not_found("machine that waits")));
                }
                return Err(why);
            }
        };
        let outcome = self.plane.let_in(initiator, &approval).await;
        let _ = told.send(outcome.as_ref().map(drop).map_err(|not| not.error.clone()));
        Ok(outcome)
    }

    async fn installed(mut self, initiator: Initiator<AwaitInstalled>, members: &[u8]) -> Result<(), Ended> {
        frames::send(self.stream, members).await?;
        let frame = self.read(MAX_FRAME_LEN).await?;
        let (admitting, _) =
            initiator.receive(&frame, self.plane.joins()?.now()).map_err(Ended::from)?.into_parts();
        self.admit(admitting).await
    }

    async fn resume(mut self, frame: &[u8]) -> Result<(), Ended> {
        let joins = self.plane.joins()?;
        let cluster = self.plane.cluster().await?;
        let (channel, source) = (&self.channel, self.source);
        let outcome = joins.with_window(&self.plane.random, |window, _| {
            window.resume(frame, source, channel, &*cluster, joins.now())
        })?;
        match outcome {
            ResumeOutcome::Refused(answer, reason) => self.refused(&answer, reason).await,
            ResumeOutcome::Resumed(admitting, _) => self.admit(admitting).await,
        }
    }

    async fn admit(&mut self, admitting: Initiator<Admitting>) -> Result<(), Ended> {
        let done = self.plane.admit(admitting, self.source).await?;
        frames::send_last(self.stream, &done).await;
        Ok(())
    }

    /// Tells the machine «refused», and the log why. Of one source's refusals the log counts all but the first.
    async fn refused(&mut self, answer: &[u8], reason: JoinError) -> Result<(), Ended> {
        let completion = Completion::unauthenticated(Duration::ZERO).with_reason(reason.reason());
        let completion = completion.map_err(|_| ApiError::internal())?;
        self.plane.journal.note(bare_intent(self.plane, PROVE, self.source)?, completion).await?;
        frames::send_last(self.stream, answer).await;
        Err(reason.into())
    }

    async fn gone(&self, joins: &Joins, session: SessionId, number: u64) -> Result<(), Ended> {
        joins.with_window(&self.plane.random, |window, present| {
            if present == number {
                window.closed(session);
            }
        })?;
        self.tell(joins).await
    }

    /// Puts into the log what an operator must know: that a code is used up by guesses.
    async fn tell(&self, joins: &Joins) -> Result<(), Ended> {
        let events: Vec<JoinEvent> =
            joins.with_window(&self.plane.random, |window, _| window.take_events().collect())?;
        for event in events {
            if let JoinEvent::CodeBurnt { source } = event {
                tracing::warn!(%source, "the code is used up by guesses: show a new one");
                let completion = Completion::denied(Duration::ZERO).with_reason("code_burnt");
                let completion = completion.map_err(|_| ApiError::internal())?;
                self.plane.journal.note(bare_intent(self.plane, PROVE, source)?, completion).await?;
            }
        }
        Ok(())
    }

    async fn read(&mut self, max: usize) -> Result<Vec<u8>, Ended> {
        tokio::select! {
            frame = frames::read(self.stream, max, FRAME_TIMEOUT) => Ok(frame?),
            _ = self.closed.wait_for(|closed| *closed) => Err(Ended::Closed),
        }
    }
}

/// A machine shows that it knows a secret, or does not.
const PROVE: &str = "joins:prove";
/// A ticket lets a machine in.
const APPROVE: &str = "joins:approve";
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
