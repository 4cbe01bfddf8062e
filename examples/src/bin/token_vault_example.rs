//! token-vault by itself: issue, verify, narrow, revoke.

use std::time::Duration;

use core_types::{Clock, Grant, Id, Principal, Restriction, Subject, SystemClock, SystemRandom};
use state_store::{Batch, Commit, MemoryStore, Replica, StateStore};
use token_vault::{
    IssueRequest, Pepper, PepperVersion, Peppers, RevocationReason, TokenFormat, TokenView, Vault,
    VerifyContext,
};

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    pollster::block_on(async {
        let (store, clock, random) = (MemoryStore::new(), SystemClock::new(), SystemRandom::new());
        let opened = Replica::open(
            store.clone(),
            TokenView::prefix()?,
            TokenView::new(),
            Duration::from_secs(5),
            &clock,
        );
        let (tokens, mut driver) = opened.await?;
        let kind = token_vault::Prefix::of("acme", "live", "pat")?;
        let pepper = Pepper::generate(PepperVersion::new(1.try_into()?), &random)?;
        let vault = Vault::new(tokens, TokenFormat::new([kind.clone()])?, Peppers::new(&pepper));

        let now = clock.now();
        let owner = Subject::User(Id::generate(now, &random)?);
        let restriction = Restriction::only([Grant::new("apps:*".parse()?, "project/web".parse()?)])?
            .expiring(now.saturating_add(Duration::from_secs(3600)));
        let issued =
            vault.plan_issue(IssueRequest::new("ci-deploy", kind, owner, restriction), now, &random)?;
        commit(&store, issued.batch).await?;
        driver.step().await?;
        println!("issued {}", issued.token.redacted());
        let plaintext = issued.token.expose_once(str::to_owned);

        let token = vault.verify(&plaintext, &VerifyContext::at(now))?;
        println!("good for {} until its end", token.principal());
        let later = now.saturating_add(Duration::from_secs(3600));
        println!("an hour later: {}", yes_no(vault.verify(&plaintext, &VerifyContext::at(later)).is_ok()));

        let by = Principal::subject(owner);
        let change = vault.plan_revoke(token.id(), by, RevocationReason::Leaked, now)?;
        commit(&store, change.batch).await?;
        driver.step().await?;
        println!("revoked: {}", yes_no(vault.verify(&plaintext, &VerifyContext::at(now)).is_ok()));
        Ok(())
    })
}

async fn commit(store: &MemoryStore, batch: Batch) -> Result<(), Box<dyn std::error::Error>> {
    match store.commit(batch).await? {
        Commit::Committed(_) => Ok(()),
        Commit::Conflict(key) => Err(format!("conflict on {key:?}").into()),
    }
}

fn yes_no(good: bool) -> &'static str {
    if good { "accepted" } else { "refused" }
}
