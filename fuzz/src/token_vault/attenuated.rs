//! Tokens that their holders narrowed.

use std::sync::LazyLock;

use core_types::testing::TestRandom;
use core_types::{Grant, Limit, Permission, Restriction, Scope, UnixTime};
use pollster::block_on;
use token_vault::attenuated::{MAX_CAVEATS, attenuate};
use token_vault::testing::{Fixture, START, format, owner, request};
use token_vault::{Vault, VerifyContext};

/// A vault, and a token of it that its holder may narrow.
static HOLDER: LazyLock<(Vault, String)> = LazyLock::new(|| {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue(request(owner(&TestRandom::seeded(1))).delegable()).await;
        (fixture.vault, token)
    })
});

/// A narrowed token, and changes of its text.
///
/// The first byte says how many caveats there are; each takes a byte. Of what follows, each three bytes are a change of
/// the text: where, which kind, with what. No input without a caveat and no changed text may pass.
pub(crate) fn attenuated(input: &[u8]) -> bool {
    let (vault, token) = &*HOLDER;
    let Some((count, rest)) = input.split_first() else { return false };
    let (chosen, changes) = rest.split_at(usize::from(count & 15).min(rest.len()));
    let mut text = token.clone();
    let mut caveats = Vec::new();
    for byte in chosen {
        let caveat = caveat(*byte);
        match attenuate(&format(), &text, &caveat) {
            Ok(narrower) => narrower.expose_once(|narrower| narrower.clone_into(&mut text)),
            Err(_) => {
                let allows_nothing = caveat.grants() == Limit::Only(&[]);
                let is_no_caveat = allows_nothing || caveat == Restriction::unrestricted();
                assert!(is_no_caveat || caveats.len() >= MAX_CAVEATS, "refused: {caveat:?}");
                continue;
            }
        }
        caveats.push(caveat);
    }
    assert!(caveats.len() <= MAX_CAVEATS);
    assert_allows(vault, &text, &caveats);

    let mut changed: Vec<char> = text.chars().collect();
    for [place, what, with] in changes.as_chunks::<3>().0.iter().copied() {
        let place = usize::from(place).saturating_add(usize::from(what >> 4).saturating_mul(256));
        let place = place.checked_rem(changed.len()).unwrap_or(0);
        match what & 3 {
            0 => changed.insert(place, char::from(with)),
            1 if !changed.is_empty() => drop(changed.remove(place)),
            _ => changed.iter_mut().skip(place).take(1).for_each(|symbol| *symbol = char::from(with)),
        }
    }
    let changed: String = changed.into_iter().collect();
    let verified = vault.verify(&changed, &VerifyContext::at(START));
    assert_eq!(verified.is_ok(), changed == text && !ends(&caveats, START), "{changed:?}");
    verified.is_ok() && !caveats.is_empty()
}

/// A token that was narrowed so allows what all caveats and the token itself do, and nothing else.
#[expect(clippy::unwrap_used, reason = "constants")]
fn assert_allows(vault: &Vault, text: &str, caveats: &[Restriction]) {
    let verified = vault.verify(text, &VerifyContext::at(START));
    assert_eq!(verified.is_err(), ends(caveats, START));
    let Ok(verified) = verified else { return };
    let own = token_vault::testing::restriction("apps:*", "project/web");
    for permission in
        ["apps:read", "apps:write", "compute:read"].map(|text| text.parse::<Permission>().unwrap())
    {
        for scope in ["/", "project/web", "project/web/app/a", "project/shop"]
            .map(|text| text.parse::<Scope>().unwrap())
        {
            for now in (0..4).map(|after| UnixTime::from_millis(START.as_millis().saturating_add(after))) {
                let expected =
                    caveats.iter().chain([&own]).all(|caveat| caveat.allows(&permission, &scope, now));
                assert_eq!(
                    verified.restriction().allows(&permission, &scope, now),
                    expected,
                    "{permission} at {scope}"
                );
            }
        }
    }
}

fn ends(caveats: &[Restriction], now: UnixTime) -> bool {
    caveats.iter().any(|caveat| caveat.is_expired(now))
}

/// A caveat of a small alphabet: three bits of grants, two of an end, three of a second grant.
#[expect(clippy::unwrap_used, reason = "constants")]
fn caveat(byte: u8) -> Restriction {
    let grants = |choice: u8| {
        let (permissions, scope) = match choice {
            0 => return None,
            1 => ("*:*", "/"),
            2 => ("*:read", "/"),
            3 => ("apps:*", "project/web/app/a"),
            4 => ("apps:write", "project/web"),
            5 => ("compute:*", "/"),
            6 => ("*:write", "project/shop"),
            _ => ("apps:read", "project"),
        };
        Some(scope.parse().map(|scope| Grant::new(permissions.parse().unwrap(), scope)))
    };
    let chosen: Vec<_> =
        [byte & 7, byte >> 5].into_iter().filter_map(grants).filter_map(Result::ok).collect();
    let restriction = match (byte & 7, chosen.is_empty()) {
        (0, true) => Restriction::unrestricted(),
        _ => Restriction::only(chosen).unwrap(),
    };
    match (byte >> 3) & 3 {
        0 => restriction,
        after => restriction.expiring(UnixTime::from_millis(
            START.as_millis().saturating_add(u64::from(after)).saturating_sub(1),
        )),
    }
}
