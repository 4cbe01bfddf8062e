//! What the vault does, and the floor below it.

use blake2::digest::{KeyInit, Mac};
use core_types::{Permission, Restriction, Scope, Subject, SystemRandom, UserId};
use token_vault::testing::{START, kind, touch, with_checksum};
use token_vault::{IssueRequest, VerifyContext};

use crate::turns::Operation;
use crate::world::{World, walk};

pub(crate) fn all(world: &World) -> Vec<Operation<'_>> {
    let World { vault, tokens, ids, .. } = world;
    let context = VerifyContext::at(START);
    let text = |walker| {
        let mut next = walk(tokens.len(), walker);
        move || tokens[next()].clone()
    };
    let id = |walker| {
        let mut next = walk(ids.len(), walker);
        move || ids[next()]
    };
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[7; 32]);
    let (hmac, digest) = (key.clone(), key);
    let snapshot = vault.replica().snapshot();
    let looked_up = snapshot.clone();
    let mut garbage = tokens[0].clone();
    let last = if garbage.ends_with('0') { "1" } else { "0" };
    garbage.replace_range(garbage.len() - 1.., last);
    let unknown = with_checksum(&format!("plsdtestpat_{}{}", "0123456789012345678901", &tokens[0][34..77]));
    let random = SystemRandom::new();
    let owner = Subject::User(UserId::generate(START, &random).unwrap());
    let blake = blake2::Blake2sMac256::new_from_slice(&[7; 32]).unwrap();
    let permission: Permission = "apps:deploy".parse().unwrap();
    let scope: Scope = "org/acme/project/p1/app/web".parse().unwrap();
    vec![
        Operation::new("token-vault/verify", 64, text(0), move |text| vault.verify(text, &context)),
        Operation::new("token-vault/verify, and use its restriction", 64, text(1), move |text| {
            let verified = vault.verify(text, &context).unwrap();
            verified.restriction().allows(&permission, &scope, START)
        }),
        Operation::new("floor: digest and look-up", 64, id(2), move |id| {
            let tag = ring::hmac::sign(&digest, &[1; 55]);
            (tag.as_ref()[0], touch(snapshot.view(), *id))
        }),
        Operation::new(
            "digest: HMAC-SHA-256 (ring) of 55 bytes",
            64,
            || [1_u8; 55],
            move |text| ring::hmac::sign(&hmac, text),
        ),
        Operation::new(
            "digest: keyed BLAKE2s of 55 bytes",
            64,
            || [1_u8; 55],
            move |text| {
                let mut mac = blake.clone();
                mac.update(text);
                mac.finalize()
            },
        ),
        Operation::new("look-ups, one upon another", 64, id(3), move |id| touch(looked_up.view(), *id)),
        Operation::new(
            "token-vault/garbage, wrong checksum",
            64,
            move || garbage.clone(),
            move |text| vault.verify(text, &context).is_err(),
        ),
        Operation::new(
            "token-vault/garbage, short",
            64,
            || "Bearer xyz",
            move |text| vault.verify(text, &context).is_err(),
        ),
        Operation::new(
            "token-vault/unknown id",
            64,
            move || unknown.clone(),
            move |text| vault.verify(text, &context).is_err(),
        ),
        Operation::new(
            "token-vault/issue, without the commit",
            16,
            || (),
            move |()| {
                let wish = IssueRequest::new("x", kind(), owner, Restriction::unrestricted());
                vault.plan_issue(wish, START, &random).unwrap()
            },
        ),
    ]
}
