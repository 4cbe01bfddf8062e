//! Peppers change without a reissue, and keys of other systems come in by their hashes.

use core_types::{Principal, SecureRandom, UnixTime};
use pollster::block_on;
use ring::digest::{SHA256, digest};
use std::time::Duration;
use token_vault::foreign::{ForeignFormat, ForeignHash};
use token_vault::testing::{Fixture, START, owner, pepper, request};
use token_vault::{IssueError, Pepper, Peppers, RefusalReason, Vault};

#[test]
fn a_token_moves_to_the_new_pepper_when_it_is_used() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (used, _) = fixture.issue_plain().await;
        let (unused, _) = fixture.issue_plain().await;
        fixture.vault.change_peppers(Peppers::rotating(&pepper(2), &pepper(1)).unwrap());
        assert!(fixture.vault.plan_rehash().unwrap().is_none());
        assert!(fixture.vault.verify(&used, &fixture.context()).is_ok());
        let batch = fixture.vault.plan_rehash().unwrap().unwrap();
        fixture.commit(batch).await;
        assert!(fixture.vault.plan_rehash().unwrap().is_none());
        let counts: Vec<_> = fixture
            .vault
            .pepper_use(START)
            .into_iter()
            .map(|(version, count)| (version.get(), count))
            .collect();
        assert_eq!(counts, [(1, 1), (2, 1)]);
        fixture.vault.change_peppers(Peppers::new(&pepper(2)));
        assert!(fixture.vault.verify(&used, &fixture.context()).is_ok());
        let refusal = fixture.vault.verify(&unused, &fixture.context()).unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::Pepper);
        assert!(Peppers::rotating(&pepper(2), &pepper(2)).is_err());
    });
}

#[test]
fn a_rehash_never_brings_an_old_secret_back() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (old, id) = fixture.issue_plain().await;
        fixture.vault.change_peppers(Peppers::rotating(&pepper(2), &pepper(1)).unwrap());
        assert!(fixture.vault.verify(&old, &fixture.context()).is_ok());
        let by = Principal::subject(owner(&fixture.random));
        let rotated = fixture.vault.plan_rotate(id, Duration::ZERO, by, START, &fixture.random).unwrap();
        fixture.commit(rotated.batch).await;
        assert!(fixture.vault.plan_rehash().unwrap().is_none());
        assert!(fixture.vault.verify(&old, &fixture.context()).is_err());
    });
}

#[test]
fn an_overlapping_secret_works_while_its_pepper_is_there() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (old, id) = fixture.issue_plain().await;
        fixture.vault.change_peppers(Peppers::rotating(&pepper(2), &pepper(1)).unwrap());
        let by = Principal::subject(owner(&fixture.random));
        let hour = Duration::from_secs(3600);
        let rotated = fixture.vault.plan_rotate(id, hour, by, START, &fixture.random).unwrap();
        fixture.commit(rotated.batch).await;
        assert!(fixture.vault.verify(&old, &fixture.context()).unwrap().used_old_secret());
        fixture.vault.change_peppers(Peppers::new(&pepper(2)));
        assert!(fixture.vault.verify(&old, &fixture.context()).is_err());
        let new = rotated.token.expose_once(str::to_owned);
        assert!(fixture.vault.verify(&new, &fixture.context()).is_ok());
    });
}

#[test]
fn the_pepper_decides_and_another_of_the_same_version_accepts_nothing() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let other = Pepper::generate(pepper(1).version(), &fixture.random).unwrap();
        fixture.vault.change_peppers(Peppers::new(&other));
        let refusal = fixture.vault.verify(&token, &fixture.context()).unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::Secret);
    });
}

#[test]
fn imported_keys_go_on_working_and_their_hashes_do_not() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let owner = owner(&fixture.random);
        let vault = accepting(&fixture);
        let whole = "legacy-key-0123456789abcdef";
        let hash = ForeignHash::whole_key(&sha256_hex(whole)).unwrap();
        let imported = vault.plan_import(request(owner), &hash, START).unwrap();
        fixture.commit(imported.batch).await;
        // As the Rust crate makes them: the hash is of the long part's text.
        let (short, long) = ("BRTRKFsL", "51FwqftsmMDHHbJAMEXXHCgG");
        let hash = ForeignHash::prefixed_api_key("my_company", short, &sha256_hex(long)).unwrap();
        let prefixed_import = vault.plan_import(request(owner), &hash, START).unwrap();
        fixture.commit(prefixed_import.batch).await;
        let prefixed = format!("my_company_{short}_{long}");

        assert_eq!(vault.verify(whole, &fixture.context()).unwrap().id(), imported.info.id);
        assert_eq!(vault.verify(&prefixed, &fixture.context()).unwrap().id(), prefixed_import.info.id);
        let with_hash = format!("my_company_{short}_{}", sha256_hex(long));
        for wrong in [
            sha256_hex(whole),
            with_hash,
            format!("{whole}0"),
            format!("my_company_{short}_{long}_"),
            format!("my_company__{long}"),
            format!("my_company_{long}_{short}"),
        ] {
            assert!(vault.verify(&wrong, &fixture.context()).is_err(), "{wrong}");
        }
        assert!(fixture.vault.verify(whole, &fixture.context()).is_err(), "only where they are accepted");
        let again =
            vault.plan_import(request(owner), &ForeignHash::whole_key(&sha256_hex(whole)).unwrap(), START);
        let outcome = state_store::StateStore::commit(&fixture.store, again.unwrap().batch).await.unwrap();
        assert!(matches!(outcome, state_store::Commit::Conflict(_)), "a key is imported once");
    });
}

#[test]
fn an_imported_key_that_is_rotated_becomes_a_token_of_ours() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let vault = accepting(&fixture);
        let owner = owner(&fixture.random);
        let hash = ForeignHash::whole_key(&sha256_hex("legacy-key-0123456789abcdef")).unwrap();
        let imported = vault.plan_import(request(owner), &hash, START).unwrap();
        fixture.commit(imported.batch).await;
        let by = Principal::subject(owner);
        let hour = Duration::from_secs(3600);
        let rotated = vault.plan_rotate(hash.id(), hour, by, START, &fixture.random).unwrap();
        fixture.commit(rotated.batch).await;
        assert!(vault.verify("legacy-key-0123456789abcdef", &fixture.context()).unwrap().used_old_secret());
        rotated.token.expose_once(|text| {
            assert!(text.starts_with("plsdtestpat_"));
            assert_eq!(vault.verify(text, &fixture.context()).unwrap().id(), hash.id());
        });
    });
}

#[test]
fn malformed_hashes_are_refused() {
    for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
        assert!(ForeignHash::whole_key(wrong).is_err(), "{wrong}");
    }
    assert!(ForeignHash::prefixed_api_key("p", "a_b", &"0".repeat(64)).is_err());
    assert!(ForeignHash::prefixed_api_key("p", "", &"0".repeat(64)).is_err());
}

#[test]
fn an_export_has_every_token_and_nothing_to_present() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let mut issued = Vec::new();
        for _ in 0..50 {
            issued.push(fixture.issue_plain().await);
        }
        let exported: Vec<_> = fixture.vault.export().collect();
        assert_eq!(exported.len(), 50);
        let text = serde_json::to_string(&exported).unwrap();
        assert!(!text.contains("digest") && !text.contains("pepper"));
        for (token, id) in issued {
            assert!(text.contains(&id.to_string()) && !text.contains(token.get(34..42).unwrap()));
        }
    });
}

#[test]
fn a_generator_that_repeats_itself_makes_no_second_token() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let plan = |fixture: &Fixture| {
            let again = core_types::testing::TestRandom::seeded(99);
            fixture.vault.plan_issue(request(owner(&fixture.random)), START, &again).unwrap()
        };
        let (one, other) = (plan(&fixture), plan(&fixture));
        assert_eq!(one.info.id, other.info.id);
        fixture.commit(one.batch).await;
        let outcome = state_store::StateStore::commit(&fixture.store, other.batch).await.unwrap();
        assert!(matches!(outcome, state_store::Commit::Conflict(_)), "an id is given once");
        let (one, other) = (fixture.issue_plain().await, fixture.issue_plain().await);
        assert!(one != other, "and what is asked twice for randomness goes on");
    });
}

#[test]
fn a_failing_source_of_randomness_issues_nothing() {
    struct Broken;
    impl SecureRandom for Broken {
        fn fill(&self, _out: &mut [u8]) -> Result<(), core_types::RandomError> {
            Err(core_types::RandomError::new())
        }
    }
    block_on(async {
        let fixture = Fixture::new().await;
        let wish = request(owner(&fixture.random));
        let error = fixture.vault.plan_issue(wish, UnixTime::EPOCH, &Broken).unwrap_err();
        assert!(matches!(error, IssueError::Random(_)));
    });
}

fn accepting(fixture: &Fixture) -> Vault {
    let peppers = Peppers::new(&pepper(1));
    Vault::builder(fixture.vault.replica().clone(), fixture.vault.format().clone(), peppers)
        .accepting(ForeignFormat::PrefixedApiKey { prefix: "my_company".into() })
        .accepting(ForeignFormat::WholeKey)
        .build()
}

fn sha256_hex(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
