//! Tickets: 256 random bits for a machine that joins unattended.
//!
//! ```text
//! jht1_                                                      so that scanners find it
//! base64url (RFC 4648 5) without padding of 69 bytes, 92 characters:
//!   1   version, 1
//!   32  secret
//!   32  state: the cluster's state when the ticket was issued; who takes part in the join must be a member after it
//!   4   CRC-32 (ISO 3309) of the 65 bytes before: tells typing mistakes, proves nothing
//! ```
//!
//! The cluster keeps no secret: the ticket's id, a MAC key and a public key are derived from it, and a joiner signs with
//! the private half. Who reads the record can neither join nor make the ticket again. There is nothing to guess, so
//! there is no lock-out.

use core::fmt;
use core::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use core_types::{Fingerprint, SecretBytes, SecureRandom, UnixTime};
use zeroize::Zeroizing;

use crate::error::{MemberError, TicketError, WireError};
use crate::mac;
use crate::trust::{MemberEntry, MemberKey, PublicKey, StateId};
use crate::wire::{MAX_FRAME_LEN, Reader, Writer};

/// What every ticket begins with.
pub const TICKET_PREFIX: &str = "jht1_";
/// Characters of a ticket.
pub const TICKET_LEN: usize = TICKET_PREFIX.len() + 92;
/// The most machines that one ticket lets in.
pub const MAX_TICKET_USES: u32 = 128;
/// The longest a ticket may live.
pub const MAX_TICKET_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most tickets at once.
pub const MAX_TICKETS: usize = 1024;

/// Which ticket: 16 bytes derived from its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId([u8; 16]);

impl TicketId {
    /// The ticket of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A ticket, as the joining machine has it. Erased on drop, never printed by itself.
pub struct Ticket {
    secret: SecretBytes<32>,
    state: StateId,
}

impl Ticket {
    /// Reads a ticket.
    ///
    /// # Errors
    /// [`TicketError::NotATicket`].
    pub fn parse(text: &str) -> Result<Self, TicketError> {
        let body = text.strip_prefix(TICKET_PREFIX).ok_or(TicketError::NotATicket)?;
        let mut bytes = Zeroizing::new([0; BODY_LEN]);
        if text.len() != TICKET_LEN {
            return Err(TicketError::NotATicket);
        }
        let read =
            Base64UrlUnpadded::decode(body, bytes.as_mut_slice()).map_err(|_| TicketError::NotATicket)?;
        let (content, checksum) = read.split_last_chunk::<4>().ok_or(TicketError::NotATicket)?;
        let (version, rest) = content.split_first().ok_or(TicketError::NotATicket)?;
        let (secret, state) = rest.split_first_chunk::<32>().ok_or(TicketError::NotATicket)?;
        let state = <[u8; 32]>::try_from(state).map_err(|_| TicketError::NotATicket)?;
        if *version != VERSION || crc32fast::hash(content).to_be_bytes() != *checksum {
            return Err(TicketError::NotATicket);
        }
        let secret = SecretBytes::take_from(&mut Zeroizing::new(*secret));
        Ok(Self { secret, state: StateId::from_bytes(state) })
    }

    /// Hands the text to `show`, and erases it afterwards.
    pub fn expose<T>(&self, show: impl FnOnce(&str) -> T) -> T {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BODY_LEN));
        bytes.push(VERSION);
        bytes.extend_from_slice(self.secret.expose_secret());
        bytes.extend_from_slice(self.state.as_bytes());
        let checksum = crc32fast::hash(&bytes).to_be_bytes();
        bytes.extend_from_slice(&checksum);
        let mut text = Zeroizing::new(String::with_capacity(TICKET_LEN));
        text.push_str(TICKET_PREFIX);
        text.push_str(&Zeroizing::new(Base64UrlUnpadded::encode_string(&bytes)));
        show(&text)
    }

    /// Its id, which is no secret.
    #[must_use]
    pub fn id(&self) -> TicketId {
        let mut id = [0; 16];
        id.iter_mut().zip(self.derive("ticket id").iter()).for_each(|(to, from)| *to = *from);
        TicketId(id)
    }

    /// A second one, for one run of a join.
    pub(crate) fn duplicate(&self) -> Self {
        let mut copy = Zeroizing::new(*self.secret.expose_secret());
        Self { secret: SecretBytes::take_from(&mut copy), state: self.state }
    }

    /// The state that what the cluster shows must follow from.
    pub(crate) const fn state(&self) -> StateId {
        self.state
    }

    /// The key that both sides have.
    pub(crate) fn mac_key(&self) -> Zeroizing<[u8; 32]> {
        self.derive("ticket mac")
    }

    /// The key that only the holder has.
    pub(crate) fn signing_key(&self) -> Result<MemberKey, MemberError> {
        MemberKey::from_seed(SecretBytes::take_from(&mut self.derive("ticket signature")))
    }

    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let key = Zeroizing::new(mac::extract(b"palisade-join/1 ticket", self.secret.expose_secret()));
        Zeroizing::new(mac::expand(key.as_slice(), label.as_bytes()))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}, redacted)", self.id())
    }
}

/// What a ticket lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a value callers build")]
pub struct TicketPolicy {
    /// For people: what it is for.
    pub label: Box<str>,
    /// The role that whoever joins by it has.
    pub role: Box<str>,
    /// The names that may join: a name, or the beginning of one and `*`.
    pub names: Box<str>,
    /// How many machines.
    pub uses: u32,
    /// The first instant at which it is no longer valid.
    pub expires_at: UnixTime,
}

/// A ticket, as the cluster has it: what it lets in, and what its proofs are checked with. No secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketRecord {
    id: TicketId,
    policy: TicketPolicy,
    epoch: u64,
    mac_key: [u8; 32],
    key: PublicKey,
    revoked: bool,
    // INVARIANT: at most policy.uses, ascending; whoever began to be let in, by its certificate.
    used_by: Vec<Fingerprint>,
}

impl TicketRecord {
    /// Makes a ticket of a cluster in the state `state` of epoch `epoch`: the ticket for the machine, the record for the
    /// cluster. It is valid once the record is stored.
    ///
    /// # Errors
    /// [`TicketError::Policy`], [`TicketError::Member`].
    pub fn issue(
        policy: TicketPolicy,
        (state, epoch): (StateId, u64),
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<(Ticket, Self), TicketError> {
        policy.check()?;
        if policy.expires_at <= now || policy.expires_at > now.saturating_add(MAX_TICKET_LIFETIME) {
            return Err(TicketError::Policy);
        }
        let secret = SecretBytes::generate(rng).map_err(MemberError::from)?;
        let ticket = Ticket { secret, state };
        let record = Self {
            id: ticket.id(),
            policy,
            epoch,
            mac_key: *ticket.mac_key(),
            key: ticket.signing_key()?.public(),
            revoked: false,
            used_by: Vec::new(),
        };
        Ok((ticket, record))
    }

    /// Which ticket.
    #[must_use]
    pub const fn id(&self) -> TicketId {
        self.id
    }

    /// What it lets in.
    #[must_use]
    pub const fn policy(&self) -> &TicketPolicy {
        &self.policy
    }

    /// The epoch in which it was issued: what a joiner is shown begins there.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Who used it, by certificate.
    #[must_use]
    pub fn used_by(&self) -> &[Fingerprint] {
        &self.used_by
    }

    /// Whether it was revoked.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// The record of the revoked ticket: it lets in nobody from when this is stored.
    #[must_use]
    pub fn revoke(mut self) -> Self {
        self.revoked = true;
        self
    }

    /// The record with a use by this certificate counted, once however often it is asked.
    ///
    /// # Errors
    /// [`TicketError::Unusable`] when it is revoked, over, or used up.
    pub fn count_use(mut self, by: Fingerprint, now: UnixTime) -> Result<Self, TicketError> {
        self.check_usable(by, now)?;
        if let Err(at) = self.used_by.binary_search(&by) {
            self.used_by.insert(at, by);
        }
        Ok(self)
    }

    pub(crate) fn check_usable(&self, by: Fingerprint, now: UnixTime) -> Result<(), TicketError> {
        let used = u32::try_from(self.used_by.len()).unwrap_or(u32::MAX);
        let room = used < self.policy.uses || self.used_by.binary_search(&by).is_ok();
        if self.revoked || now >= self.policy.expires_at || !room {
            return Err(TicketError::Unusable);
        }
        Ok(())
    }

    pub(crate) fn allows(&self, entry: &MemberEntry) -> bool {
        let name = match self.policy.names.strip_suffix('*') {
            Some(start) => entry.name().starts_with(start),
            None => *entry.name() == *self.policy.names,
        };
        name && *entry.role() == *self.policy.role
    }

    pub(crate) const fn mac_key(&self) -> &[u8; 32] {
        &self.mac_key
    }

    pub(crate) const fn key(&self) -> PublicKey {
        self.key
    }

    /// Its one encoding. It is worth keeping from strangers, as the rest of the store is: see the threat model.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::new(KIND)
            .field(1, self.id.as_bytes())
            .field(2, self.policy.label.as_bytes())
            .field(3, self.policy.role.as_bytes())
            .field(4, self.policy.names.as_bytes())
            .field(5, &u64::from(self.policy.uses).to_be_bytes())
            .field(6, &self.policy.expires_at.as_millis().to_be_bytes())
            .field(7, &self.epoch.to_be_bytes())
            .field(8, &self.mac_key)
            .field(9, self.key.as_bytes())
            .field(10, &[u8::from(self.revoked)])
            .list(11, self.used_by.iter().map(|by| by.as_bytes().as_slice()))
            .finish()
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`TicketError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TicketError> {
        let mut reader = Reader::new(bytes, KIND, MAX_FRAME_LEN)?;
        let id = TicketId(reader.array(1)?);
        let (label, role, names) = (reader.text(2)?.into(), reader.text(3)?.into(), reader.text(4)?.into());
        let uses = u32::try_from(reader.number(5)?).map_err(|_| WireError::Field { tag: 5 })?;
        let expires_at = UnixTime::from_millis(reader.number(6)?);
        let (epoch, mac_key, key) = (reader.number(7)?, reader.array(8)?, reader.array(9)?);
        let revoked = match reader.byte(10)? {
            0 => false,
            1 => true,
            _ => return Err(WireError::Field { tag: 10 }.into()),
        };
        let policy = TicketPolicy { label, role, names, uses, expires_at };
        policy.check()?;
        let used = reader.list(11, usize::try_from(uses).unwrap_or_default())?;
        let used_by: Vec<Fingerprint> = used
            .into_iter()
            .map(|bytes| bytes.try_into().map(Fingerprint::from_sha256))
            .collect::<Result<_, _>>()
            .map_err(|_| WireError::Field { tag: 11 })?;
        if !used_by.is_sorted_by(|earlier, later| earlier < later) {
            return Err(WireError::Field { tag: 11 }.into());
        }
        reader.finish()?;
        Ok(Self { id, policy, epoch, mac_key, key: PublicKey::from_bytes(key), revoked, used_by })
    }
}

/// Without the key.
impl fmt::Debug for TicketRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketRecord")
            .field("id", &self.id)
            .field("policy", &self.policy)
            .field("epoch", &self.epoch)
            .field("revoked", &self.revoked)
            .field("used_by", &self.used_by)
            .finish_non_exhaustive()
    }
}

impl TicketPolicy {
    fn check(&self) -> Result<(), TicketError> {
        let names = self.names.strip_suffix('*').unwrap_or(&self.names);
        // The beginning of a name may end with a point or a hyphen.
        let begins = names.trim_end_matches(['.', '-']);
        let pattern =
            (names.is_empty() && self.names.ends_with('*')) || crate::trust::check_name(begins).is_ok();
        let whole = self.names.ends_with('*') || begins == names;
        let label = self.label.len() <= MAX_LABEL_LEN && !self.label.chars().any(char::is_control);
        let fits = (1..=MAX_TICKET_USES).contains(&self.uses) && names.len() <= crate::trust::MAX_NAME_LEN;
        if pattern && whole && label && fits && crate::trust::check_name(&self.role).is_ok() {
            Ok(())
        } else {
            Err(TicketError::Policy)
        }
    }
}

const VERSION: u8 = 1;
const BODY_LEN: usize = 1 + 32 + 32 + 4;
const MAX_LABEL_LEN: usize = 128;
const KIND: u8 = 0x45;
