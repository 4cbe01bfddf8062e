//! Tickets, codes and fingerprints as text.

use core::time::Duration;

use core_types::testing::TestRandom;
use core_types::{Fingerprint, SystemRandom, UnixTime};
use join_hmac::code::PairingCode;
use join_hmac::error::{CodeError, FingerprintWordsError, TicketError};
use join_hmac::human::FingerprintWords;
use join_hmac::testing::{TODAY, World};
use join_hmac::ticket::{TICKET_LEN, TICKET_PREFIX, Ticket, TicketPolicy, TicketRecord};

fn policy() -> TicketPolicy {
    TicketPolicy {
        label: "rack 7".into(),
        role: "worker".into(),
        names: "node-*".into(),
        uses: 3,
        expires_at: TODAY.saturating_add(Duration::from_secs(60)),
    }
}

#[test]
fn a_ticket_has_one_spelling_and_any_other_is_none() {
    let mut world = World::new("alpha");
    let ticket = world.ticket(1);
    let text = ticket.expose(str::to_owned);
    assert_eq!(text.len(), TICKET_LEN);
    assert!(text.starts_with(TICKET_PREFIX));
    let read = Ticket::parse(&text).unwrap();
    assert_eq!(read.id(), ticket.id());
    assert_eq!(read.expose(str::to_owned), text);
    for at in 0..text.len() {
        for other in ['A', 'b', '0', '_', '=', ' '] {
            let mut changed: Vec<char> = text.chars().collect();
            changed[at] = other;
            let changed: String = changed.into_iter().collect();
            if changed != text {
                assert_eq!(Ticket::parse(&changed).unwrap_err(), TicketError::NotATicket, "{at} {other}");
            }
        }
    }
    for off in
        [text.trim_start_matches("jht1_"), &format!("{text} "), &format!(" {text}"), &format!("{text}A"), ""]
    {
        assert!(Ticket::parse(off).is_err());
    }
    assert!(!format!("{ticket:?}").contains(text.get(5..40).unwrap()));
}

#[test]
fn a_ticket_of_known_bytes_is_spelled_as_documented() {
    let state = join_hmac::trust::StateId::from_bytes([0x5a; 32]);
    let (ticket, record) = TicketRecord::issue(policy(), (state, 1), TODAY, &TestRandom::seeded(7)).unwrap();
    let text = ticket.expose(str::to_owned);
    let bytes = {
        use base64ct::{Base64UrlUnpadded, Encoding};
        Base64UrlUnpadded::decode_vec(text.get(5..).unwrap()).unwrap()
    };
    assert_eq!(bytes.len(), 69);
    assert_eq!(bytes[0], 1, "the version");
    assert_eq!(bytes[33..65], [0x5a; 32], "the state");
    assert_eq!(bytes[65..], crc32fast::hash(&bytes[..65]).to_be_bytes());
    assert_eq!(record.id(), ticket.id());
}

#[test]
fn what_the_cluster_stores_is_no_ticket() {
    let state = World::new("alpha").store.state_id();
    let (ticket, record) = TicketRecord::issue(policy(), (state, 1), TODAY, &SystemRandom::new()).unwrap();
    let text = ticket.expose(str::to_owned);
    let secret = {
        use base64ct::{Base64UrlUnpadded, Encoding};
        Base64UrlUnpadded::decode_vec(text.get(5..).unwrap()).unwrap()[1..33].to_vec()
    };
    let stored = record.to_bytes();
    assert!(!stored.windows(32).any(|window| window == secret));
    assert_eq!(TicketRecord::from_bytes(&stored).unwrap(), record);
    let printed = format!("{record:?}");
    assert!(printed.contains("rack 7") && !printed.contains("mac_key"));
}

#[test]
fn a_ticket_counts_each_machine_once_and_ends() {
    let state = World::new("alpha").store.state_id();
    let (_, record) = TicketRecord::issue(policy(), (state, 1), TODAY, &SystemRandom::new()).unwrap();
    let machine = |number: u8| Fingerprint::from_sha256([number; 32]);
    let mut used = record.clone();
    for number in [3, 1, 2, 1, 3] {
        used = used.count_use(machine(number), TODAY).unwrap();
    }
    assert_eq!(used.used_by(), [machine(1), machine(2), machine(3)]);
    assert_eq!(used.clone().count_use(machine(4), TODAY).unwrap_err(), TicketError::Unusable);
    assert!(used.count_use(machine(1), TODAY).is_ok(), "a retry of a machine that used it");
    let end = policy().expires_at;
    assert_eq!(record.clone().count_use(machine(1), end).unwrap_err(), TicketError::Unusable);
    assert_eq!(record.revoke().count_use(machine(1), TODAY).unwrap_err(), TicketError::Unusable);
}

#[test]
fn a_policy_outside_its_bounds_is_refused() {
    let state = World::new("alpha").store.state_id();
    let issue = |policy| TicketRecord::issue(policy, (state, 1), TODAY, &SystemRandom::new()).map(|_| ());
    assert_eq!(issue(policy()), Ok(()));
    assert_eq!(issue(TicketPolicy { names: "*".into(), ..policy() }), Ok(()));
    assert_eq!(issue(TicketPolicy { names: "node-1".into(), ..policy() }), Ok(()));
    for off in [
        TicketPolicy { uses: 0, ..policy() },
        TicketPolicy { uses: 129, ..policy() },
        TicketPolicy { role: "".into(), ..policy() },
        TicketPolicy { role: "Admin".into(), ..policy() },
        TicketPolicy { names: "".into(), ..policy() },
        TicketPolicy { names: "a*b".into(), ..policy() },
        TicketPolicy { names: "node-".into(), ..policy() },
        TicketPolicy { names: "**".into(), ..policy() },
        TicketPolicy { label: "a\nb".into(), ..policy() },
        TicketPolicy { label: "x".repeat(129).into(), ..policy() },
        TicketPolicy { expires_at: TODAY, ..policy() },
        TicketPolicy { expires_at: UnixTime::from_secs(4_000_000_000), ..policy() },
    ] {
        assert_eq!(issue(off.clone()), Err(TicketError::Policy), "{off:?}");
    }
}

#[test]
fn a_code_is_read_as_people_type_it() {
    let rng = SystemRandom::new();
    for words in 2..=4 {
        let code = PairingCode::generate(words, &rng).unwrap();
        assert_eq!(code.expose_secret().split(' ').count(), words);
        assert_eq!(PairingCode::parse(code.expose_secret()).unwrap().expose_secret(), code.expose_secret());
        assert_eq!(format!("{code:?}"), "PairingCode(redacted)");
    }
    assert_eq!(PairingCode::generate(1, &rng).unwrap_err(), CodeError::Count);
    assert_eq!(PairingCode::generate(5, &rng).unwrap_err(), CodeError::Count);
    assert_eq!(PairingCode::parse("  SAXOPHONE\tyo- ").unwrap().expose_secret(), "saxophone yo-yo");
    let error = PairingCode::parse("saxophone buzzerd").unwrap_err();
    assert_eq!(error.hint(), Some("buzzard"));
    assert!(!format!("{error} {error:?}").contains("buzz"));
    for off in ["", "saxophone", "a b", "sa bu", "saxophone saxophone saxophone saxophone saxophone"] {
        assert!(PairingCode::parse(off).is_err(), "{off}");
    }
}

#[test]
fn a_fingerprint_is_eight_words_and_a_check_word_the_same_on_both_screens() {
    let one = Fingerprint::of(b"a certificate");
    let words = FingerprintWords::of(&one).to_string();
    assert_eq!(words.split(' ').count(), 9);
    assert_eq!(FingerprintWords::parse(&words).unwrap(), FingerprintWords::of(&one));
    assert_eq!(FingerprintWords::parse(&words.to_uppercase()).unwrap(), FingerprintWords::of(&one));
    assert_ne!(FingerprintWords::of(&Fingerprint::of(b"another")).to_string(), words);
    // Another word anywhere, or two words exchanged, does not go unnoticed.
    let list: Vec<&str> = words.split(' ').collect();
    let mut noticed = 0;
    for at in 0..9 {
        let mut changed = list.clone();
        changed[at] = if changed[at] == "zebra" { "zombie" } else { "zebra" };
        noticed +=
            u32::from(FingerprintWords::parse(&changed.join(" ")) == Err(FingerprintWordsError::Check));
    }
    assert_eq!(noticed, 9);
    let mut swapped = list.clone();
    swapped.swap(0, 1);
    assert_eq!(FingerprintWords::parse(&swapped.join(" ")), Err(FingerprintWordsError::Check));
    assert_eq!(FingerprintWords::parse(&list[..8].join(" ")), Err(FingerprintWordsError::Count));
    assert_eq!(FingerprintWords::parse(&list[..7].join(" ")), Err(FingerprintWordsError::Count));
    assert_eq!(FingerprintWords::parse(""), Err(FingerprintWordsError::Count));
}
