//! Addresses and subnets of machines.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use core_types::MachineId;
use wg_keys::address::{Addresses, SubnetPool};
use wg_keys::error::{AddressError, PrefixError};
use wg_keys::{Prefix, machine_address};

fn machine(number: u8) -> MachineId {
    MachineId::from_bytes([number; 16])
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

#[test]
fn an_address_is_the_machines_whatever_its_key() {
    let mut addresses = Addresses::new();
    for number in 0..=255 {
        let address = addresses.assign(machine(number)).unwrap();
        assert_eq!(address, machine_address(machine(number)));
        assert_eq!(address.octets()[0], 0xfd);
        assert_eq!(addresses.holder(address.into()), Some(machine(number)));
        assert_eq!(addresses.assign(machine(number)), Ok(address), "again is no conflict");
    }
}

#[test]
fn an_address_that_another_machine_has_is_refused() {
    let mut addresses = Addresses::new();
    let wanted = machine_address(machine(1));
    addresses.claim(machine(2), wanted.into()).unwrap();
    let taken = AddressError::Taken { address: wanted.into(), holder: machine(2) };
    assert_eq!(addresses.assign(machine(1)), Err(taken));
    addresses.release(machine(2));
    assert_eq!(addresses.assign(machine(1)), Ok(wanted));
}

#[test]
fn each_machine_gets_the_lowest_free_subnet_and_keeps_it() {
    for (network, len, expected) in [
        ("10.210.0.0/16", 24, ["10.210.0.0/24", "10.210.1.0/24", "10.210.2.0/24"]),
        ("fd12:3456::/32", 64, ["fd12:3456::/64", "fd12:3456:0:1::/64", "fd12:3456:0:2::/64"]),
    ] {
        let mut pool = SubnetPool::new(prefix(network), len).unwrap();
        for (number, subnet) in (1..).zip(expected) {
            assert_eq!(pool.allocate(machine(number)), Ok(prefix(subnet)));
            assert_eq!(pool.allocate(machine(number)), Ok(prefix(subnet)));
        }
        assert_eq!(pool.release(machine(2)), Some(prefix(expected[1])));
        assert_eq!(pool.allocate(machine(9)), Ok(prefix(expected[1])));
        assert_eq!(pool.subnet(machine(2)), None);
    }
}

#[test]
fn every_conflict_says_what_it_is() {
    let network = prefix("10.0.0.0/30");
    let mut pool = SubnetPool::new(network, 32).unwrap();
    pool.claim(machine(1), prefix("10.0.0.1/32")).unwrap();
    pool.claim(machine(1), prefix("10.0.0.1/32")).unwrap();
    let subnet = prefix("10.0.0.1/32");
    assert_eq!(pool.claim(machine(2), subnet), Err(AddressError::SubnetTaken { subnet, holder: machine(1) }));
    let holds = AddressError::Holds { machine: machine(1), holds: subnet };
    assert_eq!(pool.claim(machine(1), prefix("10.0.0.2/32")), Err(holds));
    for foreign in ["10.0.0.4/32", "10.0.0.0/31", "fd00::/32"] {
        let subnet = prefix(foreign);
        assert_eq!(pool.claim(machine(2), subnet), Err(AddressError::Foreign { subnet }));
    }
    for number in 2..5 {
        pool.allocate(machine(number)).unwrap();
    }
    assert_eq!(pool.allocate(machine(5)), Err(AddressError::Exhausted { network }));
    for len in [29, 33] {
        assert_eq!(SubnetPool::new(network, len).map(drop), Err(AddressError::Length { network, len }));
    }
    assert!(
        SubnetPool::new(prefix("::/0"), 0)
            .is_ok_and(|mut pool| pool.allocate(machine(1)) == Ok(prefix("::/0")))
    );
}

#[test]
fn a_prefix_has_one_spelling() {
    for text in ["10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32", "::/0", "fd00:1::/32", "::1/128"] {
        assert_eq!(prefix(text).to_string(), text);
    }
    for (text, expected) in [
        ("10.0.0.0", PrefixError::Form),
        ("10.0.0.0/08", PrefixError::Form),
        ("10.0.0.0/+8", PrefixError::Form),
        ("FD00::/8", PrefixError::Form),
        ("fd00:0::/8", PrefixError::Form),
        ("10.0.0.0/256", PrefixError::Form),
        ("", PrefixError::Form),
        ("10.0.0.0/33", PrefixError::Length),
        ("::/129", PrefixError::Length),
        ("10.0.0.1/8", PrefixError::HostBits),
        ("fd00::1/127", PrefixError::HostBits),
        ("128.0.0.0/0", PrefixError::HostBits),
    ] {
        assert_eq!(text.parse::<Prefix>(), Err(expected), "{text}");
    }
}
