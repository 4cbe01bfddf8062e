//! What strangers send to who lets machines in, and to machines that join; what is read back; what people type.

use std::sync::Arc;

use join_hmac::code::PairingCode;
use join_hmac::human::FingerprintWords;
use join_hmac::join::{
    Challenged, Decided, HelloOutcome, InitiatorRecord, JoinSecret, Joiner, JoinerRecord, Monotonic,
    ProofOutcome, WindowConfig,
};
use join_hmac::microcloud::{MacHeader, MacKind, MacVersion, Mode, Passphrase};
use join_hmac::testing::{SOURCE, TODAY, World, direct, machine};
use join_hmac::ticket::{Ticket, TicketRecord};
use join_hmac::trust::{Entry, MemberEntry, TrustStore};

const NOW: Monotonic = Monotonic::from_millis(1);

/// The first byte says whom the rest is sent to, in the middle of a join that is the same each time.
///
/// Nothing but the honest frame gets the join any further, except for a first message.
pub(crate) fn frames(input: &[u8]) -> bool {
    let Some((&to, frame)) = input.split_first() else { return false };
    let mut world = World::new("alpha");
    let mut secret = JoinSecret::ticket(world.ticket(1));
    let mut window = world.window(WindowConfig::default());
    let (identity, entry) = machine("beta", "worker");
    let (theirs, ours) = direct(1, &world.identity, &identity);
    if to == 0 {
        return match window.hello(frame, SOURCE, &ours, &world, (NOW, TODAY), &world.rng) {
            HelloOutcome::Challenge(answer) => {
                assert_eq!(answer.frame.first(), Some(&3));
                assert_eq!(window.half_open(), 1);
                true
            }
            HelloOutcome::Retry(_) => true,
            HelloOutcome::Refused(answer, _) => {
                assert_eq!(answer, [9, 0, 0, 0], "a stranger is told nothing");
                assert_eq!(window.half_open(), 0);
                false
            }
        };
    }
    if to == 7 {
        assert!(window.resume(frame, SOURCE, &ours, &world, NOW).is_refused(), "there is nothing to resume");
        return false;
    }
    let Ok((joiner, hello)) =
        Joiner::start(Arc::clone(&identity), entry, &mut secret, theirs, NOW, &world.rng)
    else {
        return false;
    };
    if to == 1 {
        return matches!(
            joiner.receive(frame, NOW, &world.rng),
            Ok(Challenged::Again(..) | Challenged::Proven(..))
        );
    }
    let HelloOutcome::Challenge(answer) =
        window.hello(&hello, SOURCE, &ours, &world, (NOW, TODAY), &world.rng)
    else {
        return false;
    };
    let Ok(Challenged::Proven(joiner, proof)) = joiner.receive(&answer.frame, NOW, &world.rng) else {
        return false;
    };
    if to == 2 {
        let proven =
            matches!(window.proof(answer.session, frame, &world, (NOW, TODAY)), ProofOutcome::Proven(_));
        assert_eq!(proven, frame == proof, "only the machine's own proof is one");
        return proven;
    }
    let ProofOutcome::Proven(initiator) = window.proof(answer.session, &proof, &world, (NOW, TODAY)) else {
        return false;
    };
    let pending = initiator.pending();
    let (initiator, members) = world.approve(initiator, NOW);
    if to == 3 {
        return match joiner.receive(frame, NOW) {
            Ok(Decided::Pending(_)) => {
                assert_eq!(frame, pending);
                true
            }
            Ok(Decided::Accepted(..)) => {
                assert_eq!(frame, members);
                true
            }
            Err(_) => false,
        };
    }
    let Ok(Decided::Accepted(joiner, _)) = joiner.receive(&members, NOW) else { return false };
    let (joiner, installed) = joiner.installed();
    if to == 4 {
        let taken = initiator.receive(frame, NOW).is_ok();
        assert_eq!(taken, frame == installed, "only the machine says that it has installed");
        return taken;
    }
    let Ok(receipt) = initiator.receive(&installed, NOW) else { return false };
    let admitted = world.admit(receipt.into_parts().0);
    let done = joiner.receive(frame, NOW).is_ok();
    assert_eq!(done, frame == admitted.frame(), "only the cluster says that it is done");
    done
}

/// What is read back or passed on: whatever is accepted has one encoding.
pub(crate) fn records(input: &[u8]) -> bool {
    let mut accepted = false;
    let mut same = |written: &[u8]| {
        assert_eq!(written, input, "one encoding");
        accepted = true;
    };
    if let Ok(entry) = Entry::from_bytes(input) {
        same(&entry.to_bytes());
        // Nobody's entry begins a chain or follows one by chance.
        if let Ok(store) = TrustStore::from_first(&entry) {
            assert_eq!(store.epoch(), 1);
            assert_eq!(store.members().count(), 1);
        }
    }
    if let Ok(store) = TrustStore::from_snapshot(input) {
        same(&store.to_snapshot());
        for member in store.members() {
            let proof = store.prove(&member.entry().id());
            assert!(proof.is_some_and(|proof| proof.proves(member, &store.root())));
        }
    }
    if let Ok(entry) = MemberEntry::from_bytes(input) {
        same(&entry.to_bytes());
    }
    if let Ok(record) = TicketRecord::from_bytes(input) {
        same(&record.to_bytes());
    }
    if let Ok(record) = JoinerRecord::from_bytes(input) {
        same(&record.to_bytes());
    }
    if let Ok(record) = InitiatorRecord::from_bytes(input) {
        same(&record.to_bytes());
    }
    accepted
}

/// Headers, tickets, codes, passphrases, fingerprints.
pub(crate) fn text(input: &[u8]) -> bool {
    let header = header(input, MacKind::Argon2) | header(input, MacKind::Plain);
    let Ok(text) = core::str::from_utf8(input) else { return header };
    let ticket = Ticket::parse(text).is_ok_and(|ticket| {
        ticket.expose(|written| assert_eq!(written, text, "one spelling"));
        true
    });
    let words = |count: usize| {
        let lower = text.to_ascii_lowercase();
        lower.split_whitespace().count() == count
            && lower.split_whitespace().all(|word| join_hmac::words::list().contains(&word))
    };
    let code = PairingCode::parse(text).is_ok_and(|code| {
        assert!((2..=4).contains(&code.expose_secret().split(' ').count()));
        true
    });
    let passphrase = Passphrase::parse(text).is_ok();
    assert_eq!(passphrase, text.len() <= 256 && words(4), "four words of the list");
    let fingerprint = FingerprintWords::parse(text).is_ok_and(|words| {
        let read = FingerprintWords::parse(&words.to_string());
        assert_eq!(read.as_ref(), Ok(&words));
        true
    });
    header | ticket | code | passphrase | fingerprint
}

fn header(input: &[u8], kind: MacKind) -> bool {
    let version = MacVersion::microcloud();
    let strict = MacHeader::parse(input, &version, kind, Mode::Strict);
    let lenient = MacHeader::parse(input, &version, kind, Mode::Lenient);
    if let Ok(header) = &strict {
        assert_eq!(header.to_string().as_bytes(), input, "one spelling");
        assert_eq!(lenient.as_ref(), Ok(header));
    }
    if let Ok(header) = &lenient {
        assert_eq!(header.to_string().as_bytes(), input.to_ascii_lowercase().splice_version(&version));
    }
    strict.is_ok()
}

/// The version is compared as it is written; only the digits have another case.
trait SpliceVersion {
    fn splice_version(self, version: &MacVersion) -> Vec<u8>;
}

impl SpliceVersion for Vec<u8> {
    fn splice_version(mut self, version: &MacVersion) -> Self {
        let name = version.as_str().as_bytes();
        self.splice(..name.len(), name.iter().copied());
        self
    }
}
