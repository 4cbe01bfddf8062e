//! The least that anything which answers from memory has to do: look up a bit. No engine, and no reasons.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::clock::Contender;
use crate::world::{SERVICES, VERBS, World};

pub(crate) const SCOPES: &str = "floor: ids, four levels of scope, allow and deny";
pub(crate) const STRINGS: &str = "floor: user and permission as strings, one bit";

type Bits = [u64; SERVICES * VERBS / 64];
type Fast<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;

/// Multiplies and rotates, as rustc's own hash does: fast, and no defence.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

/// By the 128-bit id alone, everything merged: only where all is bound at one place.
pub(crate) fn ids(world: &World) -> Contender<'_> {
    let mut table: Fast<[u64; 2], Bits> = Fast::default();
    for user in 0..world.users.len() {
        table.insert(words(world, user), merged(world, user));
    }
    let is_flat = world.users.iter().all(|user| user.boundary.is_none());
    let decide = move |from: usize, count: usize| {
        each(world, from, count, |request| {
            let bits = table.get(&request.0);
            bits.is_some_and(|bits| has(bits, request.1))
        })
    };
    Contender {
        name: "floor: ids, one bit",
        is_of_strings: false,
        decide: Box::new(decide),
        checked: if is_flat { usize::MAX } else { 0 },
    }
}

/// By the id and the scope: at each level what is allowed and what is denied, and the user's boundary.
pub(crate) fn scopes(world: &World) -> Contender<'_> {
    let mut users: Fast<[u64; 2], (u32, Bits)> = Fast::default();
    let mut table: Fast<u64, (Bits, Bits)> = Fast::default();
    for user in 0..world.users.len() {
        let boundary = match world.users[user].boundary {
            None => [u64::MAX; 4],
            Some(service) => of(|permission| permission / VERBS == service),
        };
        users.insert(words(world, user), (user as u32, boundary));
        for binding in world.bindings(user) {
            let (allow, deny) = table.entry(place(user as u32, binding.scope)).or_default();
            let role = &world.roles[binding.role];
            join(allow, &of(|permission| role.has(permission)));
            join(deny, &of(|permission| role.denied == Some(permission)));
        }
    }
    let decide = move |from: usize, count: usize| {
        each(world, from, count, |(id, permission, scope)| {
            let Some((user, boundary)) = users.get(&id) else { return false };
            let mut is_allowed = false;
            for level in &world.chains[scope] {
                if let Some((allow, deny)) = table.get(&place(*user, *level)) {
                    if has(deny, permission) {
                        return false;
                    }
                    is_allowed |= has(allow, permission);
                }
            }
            is_allowed && has(boundary, permission)
        })
    };
    Contender { name: SCOPES, is_of_strings: false, decide: Box::new(decide), checked: usize::MAX }
}

/// By the texts of user and permission, everything merged.
pub(crate) fn strings(world: &World) -> Contender<'_> {
    let mut users: Fast<String, Bits> = Fast::default();
    let mut permissions: Fast<String, usize> = Fast::default();
    for user in 0..world.users.len() {
        users.insert(world.ids[user].to_string(), merged(world, user));
    }
    for (number, permission) in world.permissions.iter().enumerate() {
        permissions.insert(permission.to_string(), number);
    }
    let texts: Vec<(String, String)> = world
        .requests
        .iter()
        .map(|request| {
            (world.ids[request.user].to_string(), world.permissions[request.permission].to_string())
        })
        .collect();
    let is_flat = world.users.iter().all(|user| user.boundary.is_none());
    let decide = move |from: usize, count: usize| {
        let mut allowed = 0;
        for number in from..from + count {
            let (user, permission) = &texts[number % texts.len()];
            let found = users.get(user.as_str()).zip(permissions.get(permission.as_str()));
            allowed += usize::from(found.is_some_and(|(bits, permission)| has(bits, *permission)));
        }
        allowed
    };
    Contender {
        name: STRINGS,
        is_of_strings: true,
        decide: Box::new(decide),
        checked: if is_flat { usize::MAX } else { 0 },
    }
}

fn each(
    world: &World,
    from: usize,
    count: usize,
    decide: impl Fn(([u64; 2], usize, usize)) -> bool,
) -> usize {
    let mut allowed = 0;
    for number in from..from + count {
        let request = &world.requests[number % world.requests.len()];
        allowed += usize::from(decide((words(world, request.user), request.permission, request.scope)));
    }
    allowed
}

/// The id as it comes with a request.
fn words(world: &World, user: usize) -> [u64; 2] {
    let whole = u128::from_be_bytes(world.ids[user].to_bytes());
    [(whole >> 64) as u64, whole as u64]
}

fn place(user: u32, scope: usize) -> u64 {
    u64::from(user) << 32 | scope as u64
}

fn merged(world: &World, user: usize) -> Bits {
    of(|permission| {
        world.bindings(user).any(|binding| world.roles[binding.role].has(permission))
            && !world.bindings(user).any(|binding| world.roles[binding.role].denied == Some(permission))
    })
}

fn of(has: impl Fn(usize) -> bool) -> Bits {
    let mut bits = Bits::default();
    for permission in (0..SERVICES * VERBS).filter(|permission| has(*permission)) {
        bits[permission / 64] |= 1 << (permission % 64);
    }
    bits
}

fn join(bits: &mut Bits, more: &Bits) {
    for (word, more) in bits.iter_mut().zip(more) {
        *word |= more;
    }
}

fn has(bits: &Bits, permission: usize) -> bool {
    bits[permission / 64] >> (permission % 64) & 1 == 1
}
