//! From a shared secret and a transcript to the keys of a session.

use core_types::SecretBytes;
use zeroize::Zeroizing;

use super::channel::Channel;
use super::rules::Rules;
use crate::cpace::Share;
use crate::mac::{self, Digest, Parts};
use crate::wire::message::{Challenge, Hello};

/// What a key is for: each is used in one direction, for one kind of message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    JoinerConfirms,
    InitiatorPends,
    InitiatorConfirms,
    JoinerInstalled,
    InitiatorDone,
    JoinerAborts,
    InitiatorAborts,
    JoinerResumes,
    Words,
    Resumption,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::JoinerConfirms => "joiner confirms",
            Self::InitiatorPends => "initiator pends",
            Self::InitiatorConfirms => "initiator confirms",
            Self::JoinerInstalled => "joiner installed",
            Self::InitiatorDone => "initiator done",
            Self::JoinerAborts => "joiner aborts",
            Self::InitiatorAborts => "initiator aborts",
            Self::JoinerResumes => "joiner resumes",
            Self::Words => "words",
            Self::Resumption => "resumption",
        }
    }
}

/// The keys of a session; erased on drop.
pub(super) struct Keys {
    root: SecretBytes<32>,
    context: Digest,
}

impl Keys {
    /// The keys from a shared secret and the transcript up to the challenge.
    pub(super) fn new(secret: &[u8], transcript: Digest) -> Self {
        let mut root = Zeroizing::new(mac::extract(&transcript, secret));
        Self { root: SecretBytes::take_from(&mut root), context: transcript }
    }

    /// The keys of a resumed session.
    pub(super) fn resumed(mut key: [u8; 32], session: Digest) -> Self {
        Self { root: SecretBytes::take_from(&mut key), context: session }
    }

    pub(super) fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> Digest {
        mac::sign(self.key(purpose).as_slice(), &joined(parts))
    }

    /// Constant-time in the MAC.
    pub(super) fn verify(&self, purpose: Purpose, parts: &[&[u8]], mac: &Digest) -> bool {
        mac::verify(self.key(purpose).as_slice(), &joined(parts), mac)
    }

    pub(super) fn key(&self, purpose: Purpose) -> Zeroizing<Digest> {
        let info = [b"palisade-join/1 ", purpose.label().as_bytes(), &self.context].concat();
        Zeroizing::new(mac::expand(self.root.expose_secret(), &info))
    }

    /// Two words that both ends see.
    pub(super) fn words(&self) -> String {
        let mut numbers = [0; 2];
        crate::human::fill(&self.key(Purpose::Words), &mut numbers);
        let words: Vec<&str> = numbers.iter().filter_map(|&number| crate::words::word(number)).collect();
        words.join(" ")
    }
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys(redacted)")
    }
}

/// What was said, as both ends saw it. Everything is in it from the beginning.
#[derive(Clone)]
pub(super) struct Transcript {
    parts: Parts,
}

impl Transcript {
    /// After the challenge: context, hello, challenge.
    pub(super) fn new(context: &[u8], hello: &[u8], challenge: &[u8]) -> Self {
        Self { parts: Parts::new("palisade-join/1 transcript").with(context).with(hello).with(challenge) }
    }

    pub(super) fn add(&mut self, frame: &[u8]) {
        self.parts.add(frame);
    }

    pub(super) fn value(&self) -> Digest {
        self.parts.value()
    }

    /// With a frame that is yet to be proven.
    pub(super) fn with(&self, bare: &[u8]) -> Digest {
        self.parts.clone().with(bare).value()
    }
}

impl core::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Transcript")
    }
}

/// What a session is about: suite, cluster and its state, channel, both certificates, both keys. Initiator first.
pub(super) fn context(hello: &Hello, challenge: &Challenge, channel: &Channel, rules: Rules) -> Vec<u8> {
    let binding = channel.binding();
    let (theirs, ours, key) = if rules.peers {
        (*challenge.fingerprint.as_bytes(), *hello.fingerprint.as_bytes(), *challenge.key.as_bytes())
    } else {
        ([0; 32], [0; 32], [0; 32])
    };
    let parts: [&[u8]; 9] = [
        b"palisade-join/1",
        &[challenge.version, challenge.suite],
        challenge.cluster.as_bytes(),
        &challenge.epoch.to_be_bytes(),
        challenge.root.as_bytes(),
        if rules.peers { &binding } else { &[] },
        &theirs,
        &ours,
        &key,
    ];
    let mut context = joined(&parts);
    if rules.peers {
        context.extend(joined(&[hello.key.as_bytes()]));
    }
    context
}

/// The session's id: of both nonces and both certificates, so that neither side alone chooses it.
pub(super) fn session(hello: &Hello, challenge: &Challenge, rules: Rules) -> Digest {
    let session = Parts::new("palisade-join/1 session").with(&challenge.nonce).with(&hello.nonce);
    if rules.peers {
        session.with(challenge.fingerprint.as_bytes()).with(hello.fingerprint.as_bytes()).value()
    } else {
        session.value()
    }
}

/// What each share is sent with: the hello, and the challenge without the share in it.
pub(super) fn associated(hello: &[u8], challenge: &Challenge) -> (Digest, Digest) {
    let without = Challenge { share: None, ..challenge.clone() };
    (mac::sha256(&without.to_bytes()), mac::sha256(hello))
}

/// The key exchange's session key, on either side.
pub(super) fn exchange(
    secret: &crate::cpace::Secret,
    theirs: &Share,
    session: &Digest,
    (initiator, joiner): (&Share, &Share),
    (initiator_data, joiner_data): (&Digest, &Digest),
) -> Option<SecretBytes<64>> {
    crate::cpace::finish(secret, theirs, session, (initiator, initiator_data), (joiner, joiner_data))
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&mac::length(part));
        all.extend_from_slice(part);
    }
    all
}
