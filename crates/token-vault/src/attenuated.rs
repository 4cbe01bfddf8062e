//! Tokens that their holders narrowed themselves, without asking anyone.
//!
//! The holder of a delegable token, or of one that was narrowed already, adds a caveat: a
//! [`Restriction`]. The chain of keyed digests is that of macaroons (Birgisson et al., NDSS 2014); what it
//! says is only ever our restriction, so it only ever narrows.
//!
//! ```text
//! text     prefix '_' id '.' caveats '.' tag
//! prefix, id   as in a token (see the module `format`)
//! caveats  base64url (RFC 4648 5) without padding of the caveats, 1 to 8 of them, one after another
//! caveat   u16 length of what follows, big-endian as all numbers here
//!          u8  1: grants, 2: an end, 3: both
//!          with an end:     u64 milliseconds since the epoch
//!          with grants:     u16 number of grants, at most 256, sorted, none containing another; each
//!                           u8 length, permission pattern, u16 length, scope
//! tag      32 bytes in 43 digits of base 62
//!
//! key[0] = HMAC-SHA-256(secret, "platr1:" || id)         the root, known to holder and vault
//! key[n] = HMAC-SHA-256(key[n-1], "platc1:" || caveat)   over the caveat without its length
//! tag    = key[number of caveats]
//! ```
//!
//! The vault keeps no secret that could make a root. It keeps the root of a delegable token sealed: XORed with
//! HMAC-SHA-256(pepper, "platp1:" || id || generation), the generation in 4 bytes. Whoever has both the store
//! and the pepper can therefore make tokens narrowed from delegable ones; from all others they can make
//! nothing. Each caveat has one spelling, and a text that is not in it is refused.

mod caveat;

use core::fmt;

use core_types::{Restriction, TokenId};
use ring::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::AttenuateError;
use crate::format::{Prefix, TokenFormat, base62};
use crate::pepper::Prepared;

/// The most caveats of a token.
pub const MAX_CAVEATS: usize = 8;
/// The most characters of a narrowed token.
pub const MAX_ATTENUATED_LEN: usize = 4096;

/// A narrowed token: its holder's to hand on.
///
/// It has no `Clone`, `Display` or serde, its `Debug` is redacted, and it is erased on drop.
#[must_use]
pub struct AttenuatedToken {
    text: Zeroizing<String>,
}

impl AttenuatedToken {
    /// Hands the text to `show`, and erases it afterwards.
    pub fn expose_once<T>(self, show: impl FnOnce(&str) -> T) -> T {
        show(&self.text)
    }
}

impl fmt::Debug for AttenuatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttenuatedToken(redacted)")
    }
}

/// Narrows a token, offline. `token` is one a vault issued as delegable, or one that was narrowed before.
///
/// ```
/// use core_types::{Grant, Restriction, SystemRandom};
/// use token_vault::{attenuated::attenuate, testing};
/// # pollster::block_on(async {
/// let mut world = testing::Fixture::new().await;
/// let wish = testing::request(testing::owner(&SystemRandom::new())).delegable();
/// let (token, _) = world.issue(wish).await;
/// let reading = Restriction::only([Grant::new("*:read".parse()?, "project/web".parse()?)])?;
/// let narrower = attenuate(&testing::format(), &token, &reading)?;
/// narrower.expose_once(|text| {
///     let verified = world.vault.verify(text, &world.context()).unwrap();
///     assert_eq!(verified.restriction(), &testing::restriction("apps:read", "project/web"));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Errors
/// [`AttenuateError`].
pub fn attenuate(
    format: &TokenFormat,
    token: &str,
    caveat: &Restriction,
) -> Result<AttenuatedToken, AttenuateError> {
    let encoded = caveat::encode(caveat).ok_or(AttenuateError::Caveat)?;
    if let Some(split) = format.split(token.as_bytes()) {
        let id = base62::decode_128(split.id).ok_or(AttenuateError::NotAToken)?;
        let mut secret = Zeroizing::new([0; 32]);
        base62::decode_256(split.secret, secret.as_mut_slice()).ok_or(AttenuateError::NotAToken)?;
        let tag = root(&secret, &id).next(&encoded);
        return render(split.kind, &id, &[&encoded], &tag);
    }
    let parsed = Parsed::of(format, token).ok_or(AttenuateError::NotAToken)?;
    let tag = parsed.tag.next(&encoded);
    let mut caveats: Vec<&[u8]> = parsed.caveats();
    caveats.push(&encoded);
    if caveats.len() > MAX_CAVEATS {
        return Err(AttenuateError::TooLong);
    }
    render(parsed.kind, &parsed.id.to_bytes(), &caveats, &tag)
}

/// The root of a token's chain.
pub(crate) fn root(secret: &[u8; 32], id: &[u8; 16]) -> ChainKey {
    ChainKey { bytes: Zeroizing::new(*secret) }.keyed(ROOT_DOMAIN, id)
}

/// Whether a text begins as narrowed tokens do, and so is no key of another system.
pub(crate) fn is_shaped(format: &TokenFormat, text: &str) -> bool {
    let dot_at = |kind: &Prefix| kind.as_str().len().saturating_add(1 + base62::LEN_128);
    format.kinds().iter().any(|kind| {
        let tail = text.strip_prefix(kind.as_str()).is_some_and(|tail| tail.starts_with('_'));
        tail && text.as_bytes().get(dot_at(kind)) == Some(&b'.')
    })
}

/// One key of a chain.
pub(crate) struct ChainKey {
    bytes: Zeroizing<[u8; 32]>,
}

impl ChainKey {
    fn next(&self, caveat: &[u8]) -> Self {
        self.keyed(CAVEAT_DOMAIN, caveat)
    }

    fn keyed(&self, domain: &[u8], message: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.bytes.as_slice());
        let mut context = hmac::Context::with_key(&key);
        context.update(domain);
        context.update(message);
        let mut next = Self { bytes: Zeroizing::new([0; 32]) };
        next.bytes.copy_from_slice(context.sign().as_ref());
        next
    }

    /// XORs with a pad that only this pepper, token and generation have: seals, and opens again.
    pub(crate) fn masked(&self, pepper: &Prepared, id: TokenId, generation: u32) -> Self {
        let pad = pepper.pad(id, generation);
        let mut masked = Self { bytes: Zeroizing::new([0; 32]) };
        for ((to, from), pad) in masked.bytes.iter_mut().zip(self.bytes.iter()).zip(pad.as_bytes()) {
            *to = from ^ pad;
        }
        masked
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { bytes: Zeroizing::new(bytes) }
    }

    pub(crate) fn to_bytes(&self) -> [u8; 32] {
        *self.bytes
    }
}

/// A narrowed token that was taken apart.
pub(crate) struct Parsed<'a> {
    pub(crate) kind: &'a Prefix,
    pub(crate) id: TokenId,
    encoded: Vec<u8>,
    tag: ChainKey,
}

impl<'a> Parsed<'a> {
    /// Takes a text apart; `None` when it is not in its one spelling.
    pub(crate) fn of(format: &'a TokenFormat, text: &str) -> Option<Self> {
        if text.len() > MAX_ATTENUATED_LEN {
            return None;
        }
        let (kind, rest) = format
            .kinds()
            .iter()
            .find_map(|kind| Some((kind, text.strip_prefix(kind.as_str())?.strip_prefix('_')?)))?;
        let (id, rest) = rest.split_at_checked(base62::LEN_128)?;
        let rest = rest.strip_prefix('.')?;
        let (caveats, tag) = rest.split_at_checked(rest.len().checked_sub(base62::LEN_256)?)?;
        let caveats = caveats.strip_suffix('.')?;
        let mut parsed = Self {
            kind,
            id: TokenId::from_bytes(base62::decode_128(id.as_bytes())?),
            encoded: crate::base64url::decode(caveats)?,
            tag: ChainKey::from_bytes([0; 32]),
        };
        base62::decode_256(tag.as_bytes(), parsed.tag.bytes.as_mut_slice())?;
        let caveats = parsed.caveats();
        let whole: usize = caveats.iter().map(|caveat| caveat.len().saturating_add(2)).sum();
        let complete = whole == parsed.encoded.len() && (1..=MAX_CAVEATS).contains(&caveats.len());
        complete.then_some(parsed)
    }

    /// What each caveat says; `None` when one is not in its one spelling.
    pub(crate) fn restrictions(&self) -> Option<Vec<Restriction>> {
        self.caveats().into_iter().map(caveat::decode).collect()
    }

    /// Whether the tag follows from this root.
    pub(crate) fn follows_from(&self, root: &ChainKey) -> subtle::Choice {
        let mut key = ChainKey::from_bytes(root.to_bytes());
        for caveat in self.caveats() {
            key = key.next(caveat);
        }
        key.bytes.as_slice().ct_eq(self.tag.bytes.as_slice())
    }

    /// The caveats without their lengths; ends at the first that is cut off.
    fn caveats(&self) -> Vec<&[u8]> {
        let mut rest = self.encoded.as_slice();
        let mut caveats = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let Some((caveat, after)) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
            else {
                break;
            };
            caveats.push(caveat);
            rest = after;
        }
        caveats
    }
}

fn render(
    kind: &Prefix,
    id: &[u8; 16],
    caveats: &[&[u8]],
    tag: &ChainKey,
) -> Result<AttenuatedToken, AttenuateError> {
    let mut encoded = Vec::new();
    for caveat in caveats {
        let length = u16::try_from(caveat.len()).map_err(|_| AttenuateError::TooLong)?;
        encoded.extend_from_slice(&length.to_be_bytes());
        encoded.extend_from_slice(caveat);
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_ATTENUATED_LEN));
    let encoded = crate::base64url::encode(&encoded);
    if kind.as_str().len().saturating_add(encoded.len()).saturating_add(FIXED_LEN) > MAX_ATTENUATED_LEN {
        return Err(AttenuateError::TooLong);
    }
    let mut digits = Zeroizing::new([0; base62::LEN_256]);
    base62::encode_256(&tag.bytes, &mut digits);
    text.push_str(kind.as_str());
    text.push('_');
    text.extend(base62::encode_128(id).iter().map(|&digit| char::from(digit)));
    text.push('.');
    text.push_str(&encoded);
    text.push('.');
    text.extend(digits.iter().map(|&digit| char::from(digit)));
    Ok(AttenuatedToken { text })
}

const ROOT_DOMAIN: &[u8] = b"platr1:";
const CAVEAT_DOMAIN: &[u8] = b"platc1:";
/// Everything but prefix and caveats.
const FIXED_LEN: usize = 3 + base62::LEN_128 + base62::LEN_256;
