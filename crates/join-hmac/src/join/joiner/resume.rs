//! Going on with a join that was interrupted.

use core_types::SecureRandom;

use super::{AwaitDone, Common, Joiner, MAX_LIFETIME, Session};
use crate::error::JoinError;
use crate::join::channel::Channel;
use crate::join::clock::Monotonic;
use crate::join::keys::{Keys, Purpose, Transcript};
use crate::join::record::{JoinerRecord, Progress};
use crate::join::rules::Rules;
use crate::wire::message::Resume;

impl JoinerRecord {
    /// Goes on with a join that a crash or a lost connection interrupted, over a new connection; the frame is to be
    /// sent. When it is refused, the cluster knows of no such join: delete the record and begin anew.
    ///
    /// # Errors
    /// [`JoinError::State`] unless it is pending; [`JoinError::Random`].
    pub fn resume(
        &self,
        channel: Channel,
        now: Monotonic,
        rng: &dyn SecureRandom,
    ) -> Result<(Joiner<AwaitDone>, Vec<u8>), JoinError> {
        if self.progress() != Progress::Pending {
            return Err(JoinError::State);
        }
        let mut nonce = [0; 32];
        rng.fill(&mut nonce)?;
        let keys = Keys::resumed(*self.resumption(), *self.session());
        let mut resume = Resume {
            session: *self.session(),
            nonce,
            fingerprint: self.entry().certificate().fingerprint(),
            root: self.store().root(),
            mac: [0; 32],
        };
        let binding = channel.binding();
        resume.mac = keys.mac(Purpose::JoinerResumes, &[&binding, &resume.bare().finish()]);
        let frame = resume.to_bytes();
        let transcript = Transcript::new(&binding, &frame, &[]);
        let session = Box::new(Session { id: *self.session(), keys, transcript });
        let entry = self.entry().clone();
        let deadline = now.saturating_add(MAX_LIFETIME);
        let common = Box::new(Common { entry, channel, deadline, rules: Rules::ALL });
        Ok((Joiner { common, state: AwaitDone { session, store: self.store().clone() } }, frame))
    }
}
