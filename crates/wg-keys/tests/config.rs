//! Configurations and their differences.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeSet;
use std::sync::Arc;

use core_types::SystemRandom;
use proptest::prelude::*;
use wg_keys::config::{DiffPolicy, Op, Overlap, Phase, reserved_key};
use wg_keys::error::ConfigError;
use wg_keys::{Interface, Peer, Prefix, PresharedKey, PrivateKey, PublicKey, text};

fn private(seed: u8) -> Arc<PrivateKey> {
    Arc::new(PrivateKey::clamped_from(&mut [seed; 32]))
}

/// Computed once: the model's peers are the same few machines.
fn key(number: usize) -> PublicKey {
    static KEYS: std::sync::LazyLock<Vec<PublicKey>> =
        std::sync::LazyLock::new(|| (0..8).map(|seed| private(seed * 8 + 64).public_key()).collect());
    *KEYS.get(number).unwrap()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn interface(peers: impl IntoIterator<Item = Peer>) -> Interface {
    Interface::new(Some(private(1)), Some(51820), peers).unwrap()
}

fn phases(from: &Interface, to: &Interface) -> Vec<Phase> {
    from.diff(to, DiffPolicy::new()).unwrap().stages().iter().map(|stage| stage.phase).collect()
}

/// What a configuration says, secrets included; an endpoint counts where `wanted` has one.
fn said(interface: &Interface, wanted: &Interface) -> Vec<String> {
    interface
        .peers()
        .map(|peer| {
            let endpoint = wanted.peer(peer.key()).and_then(Peer::endpoint).and(peer.endpoint());
            let preshared = peer.preshared_key().map(|key| key.expose_secret());
            format!(
                "{} {preshared:?} {endpoint:?} {} {:?}",
                peer.key(),
                peer.keepalive_secs(),
                peer.allowed_ips()
            )
        })
        .chain([format!(
            "{:?} {:?}",
            interface.private_key().map(|key| key.expose_secret()),
            interface.listen_port()
        )])
        .collect()
}

#[test]
fn a_prefix_of_two_peers_the_machines_own_key_and_a_peer_twice_are_refused() {
    let peer = |number, prefixes: &[&str]| {
        Peer::new(key(number)).with_allowed_ips(prefixes.iter().map(|text| prefix(text)))
    };
    let new = |peers: Vec<Peer>| Interface::new(Some(private(1)), None, peers).map(drop).unwrap_err();
    assert_eq!(
        new(vec![peer(0, &["10.0.0.0/8"]), peer(1, &["fd00::/8", "10.0.0.0/8"])]),
        ConfigError::PrefixConflict { prefix: prefix("10.0.0.0/8"), first: key(0), second: key(1) }
    );
    let own = private(1).public_key();
    assert_eq!(new(vec![Peer::new(own)]), ConfigError::OwnKey { key: own });
    assert_eq!(new(vec![peer(0, &[]), peer(0, &[])]), ConfigError::DuplicatePeer { key: key(0) });
    assert_eq!(new(vec![Peer::new(reserved_key())]), ConfigError::ReservedKey { key: reserved_key() });
    assert_eq!(
        PublicKey::from_bytes(reserved_key().to_bytes()),
        Ok(reserved_key()),
        "it is a key like others"
    );
}

#[test]
fn a_prefix_within_another_ones_is_reported_and_the_longest_is_routed() {
    let wanted = interface([
        Peer::new(key(0)).with_allowed_ips([prefix("10.0.0.0/8"), prefix("10.1.2.0/24")]),
        Peer::new(key(1)).with_allowed_ips([prefix("10.1.0.0/16"), prefix("11.0.0.0/8")]),
    ]);
    let found: Vec<_> =
        wanted.overlaps().into_iter().map(|Overlap { outer, inner, .. }| (outer, inner)).collect();
    let expected = [("10.0.0.0/8", "10.1.0.0/16"), ("10.1.0.0/16", "10.1.2.0/24")];
    assert_eq!(found, expected.map(|(outer, inner)| (prefix(outer), prefix(inner))));
    for (address, owner) in
        [("10.1.2.3", Some(0)), ("10.1.3.3", Some(1)), ("10.2.0.1", Some(0)), ("12.0.0.1", None)]
    {
        assert_eq!(wanted.route(address.parse().unwrap()), owner.map(key), "{address}");
    }
}

#[test]
fn a_list_that_lost_more_than_half_of_its_peers_is_refused_unless_it_is_meant() {
    let full = interface((0..5).map(|number| Peer::new(key(number))));
    let of = |count| interface((0..count).map(|number| Peer::new(key(number))));
    let allowed = DiffPolicy::new().dangerous_allow_shrinking();
    for count in 0..3 {
        let refused = full.diff(&of(count), DiffPolicy::new()).map(drop).unwrap_err();
        assert_eq!(refused, ConfigError::Shrinks { from: 5, to: count });
        assert!(full.diff(&of(count), allowed).is_ok());
    }
    assert!(full.diff(&of(3), DiffPolicy::new()).is_ok());
    assert!(of(0).diff(&of(0), DiffPolicy::new()).unwrap().is_empty());
}

#[test]
fn a_key_that_is_exchanged_is_added_routed_and_only_then_removed() {
    let route = [prefix("10.0.0.0/24")];
    let from = interface([Peer::new(key(0)).with_allowed_ips(route)]);
    let to = interface([Peer::new(key(1)).with_allowed_ips(route).with_keepalive_secs(25)]);
    assert_eq!(phases(&from, &to), [Phase::Create, Phase::Route, Phase::Tune, Phase::Remove]);
    assert!(phases(&from, &from).is_empty());
    let bare = Interface::new(None, None, []).unwrap();
    assert_eq!(phases(&bare, &to), [Phase::Device, Phase::Create, Phase::Route, Phase::Tune]);
    let other_key = Interface::new(Some(private(2)), Some(51820), to.peers().cloned()).unwrap();
    assert_eq!(phases(&to, &other_key), [Phase::Rekey]);
}

#[test]
fn an_endpoint_that_moved_is_left_where_it_is_if_the_policy_says_so() {
    let peer = |endpoint: &str| interface([Peer::new(key(0)).with_endpoint(endpoint.parse().unwrap())]);
    let (from, to) = (peer("192.0.2.1:1"), peer("192.0.2.2:2"));
    assert!(from.diff(&to, DiffPolicy::new().keep_known_endpoints()).unwrap().is_empty());
    assert_eq!(phases(&from, &to), [Phase::Tune]);
    assert!(phases(&from, &interface([Peer::new(key(0))])).is_empty(), "none wanted is whichever there is");
}

#[test]
fn one_change_in_a_thousand_touches_one_peer() {
    let rng = SystemRandom::new();
    let keys: Vec<PublicKey> = (0..1000).map(|_| PrivateKey::generate(&rng).unwrap().public_key()).collect();
    let mesh = |changed: bool| {
        interface(keys.iter().enumerate().map(|(number, &key)| {
            let subnet = format!("10.{}.{}.0/24", number / 256, number % 256);
            let more = (changed && number == 500).then(|| prefix("10.99.0.0/24"));
            Peer::new(key).with_allowed_ips([prefix(&subnet)].into_iter().chain(more))
        }))
    };
    let diff = mesh(false).diff(&mesh(true), DiffPolicy::new()).unwrap();
    assert_eq!(diff.touched(), BTreeSet::from([keys[500]]));
    assert_eq!(diff.ops().count(), 1);
    let request = text::uapi::write_stage(&diff.stages()[0]);
    assert_eq!(request.expose_secret().matches("public_key=").count(), 1);
}

/// Prefixes of a small world, so that they meet often.
const WORLD: [&str; 8] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.1.0/24",
    "10.2.0.0/16",
    "0.0.0.0/0",
    "fd00::/8",
    "fd00:1::/32",
    "::/0",
];

prop_compose! {
    /// A configuration of up to six peers.
    fn arb_interface()(
        owners in proptest::collection::vec(0_usize..8, WORLD.len()),
        details in proptest::collection::vec((any::<bool>(), 0_u8..3, 0_u16..3, 0_u16..3), 6),
        own in 1_u8..3,
        port in 1_u16..3,
    ) -> Interface {
        let peers = details.into_iter().enumerate().filter(|(_, (there, ..))| *there).map(|(number, (_, preshared, secs, endpoint))| {
            let owned = owners.iter().zip(WORLD).filter(|(owner, _)| **owner == number);
            let mut peer = Peer::new(key(number))
                .with_allowed_ips(owned.map(|(_, text)| prefix(text)))
                .with_keepalive_secs(secs);
            if preshared > 0 {
                peer = peer.with_preshared_key(Arc::new(PresharedKey::take_from(&mut [preshared; 32]).unwrap()));
            }
            if endpoint > 0 {
                peer = peer.with_endpoint(([192, 0, 2, 1], endpoint).into());
            }
            peer
        });
        Interface::new(Some(private(own)), Some(port), peers).unwrap()
    }
}

proptest! {
    #[test]
    fn a_difference_leads_there_and_no_prefix_of_both_is_ever_nobodys(from in arb_interface(), to in arb_interface()) {
        let diff = from.diff(&to, DiffPolicy::new().dangerous_allow_shrinking()).unwrap();
        let (before, after) = (from.owners(), to.owners());
        let mut device = from.clone();
        let mut created = BTreeSet::new();
        for stage in diff.stages() {
            for op in &stage.ops {
                if let Op::CreatePeer { key, .. } = op {
                    prop_assert!(*key == reserved_key() || (from.peer(*key).is_none() && to.peer(*key).is_some()));
                    created.insert(*key);
                }
                device.apply(op);
                let owners = device.owners();
                for (prefix, old) in &before {
                    if let Some(new) = after.get(prefix) {
                        let owner = owners.get(prefix);
                        prop_assert!(owner == Some(old) || owner == Some(new), "{prefix}: {owner:?} at {op:?}");
                    }
                }
            }
            prop_assert!(device.peers().all(|peer| peer.key() != reserved_key()), "none is left after a stage");
        }
        prop_assert_eq!(said(&device, &to), said(&to, &to));
        let phases: Vec<_> = diff.stages().iter().map(|stage| stage.phase).collect();
        prop_assert!(phases.is_sorted() && diff.stages().iter().all(|stage| !stage.ops.is_empty()));
        prop_assert!(device.diff(&to, DiffPolicy::new()).unwrap().is_empty(), "and there is nothing more to do");
        let same = |key: &PublicKey| from.peer(*key).zip(to.peer(*key)).is_some_and(|(had, wanted)| {
            said(&interface([had.clone()]), &interface([wanted.clone()])) == said(&interface([wanted.clone()]), &interface([wanted.clone()]))
        });
        prop_assert!(diff.touched().iter().all(|key| !same(key)), "what is the same is not touched");
    }

    #[test]
    fn what_is_written_is_read_the_same(interface in arb_interface()) {
        let conf = text::write_conf(&interface);
        prop_assert_eq!(said(&text::read_conf(conf.expose_secret()).unwrap(), &interface), said(&interface, &interface));
        let addresses = [wg_keys::config::InterfaceAddress::new("10.1.2.3".parse().unwrap(), 16).unwrap()];
        let quick = text::read_quick(text::write_quick(&interface, &addresses).expose_secret()).unwrap();
        prop_assert_eq!(said(&quick.interface, &interface), said(&interface, &interface));
        prop_assert_eq!(quick.addresses, addresses);
        let request = text::uapi::write_all(&interface);
        let answer = request.expose_secret().replace("set=1\n", "").replace("replace_peers=true\n", "");
        let answer = format!("{}errno=0\n\n", answer.trim_end_matches('\n').to_owned() + "\n");
        let read = text::uapi::read(&answer).unwrap();
        prop_assert_eq!(said(&read.interface, &interface), said(&interface, &interface));
    }
}
