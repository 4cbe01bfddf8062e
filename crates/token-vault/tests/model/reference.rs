//! What should be true of tokens, in the plainest terms.

use std::collections::HashMap;

use core_types::{Restriction, Scope, Subject, TokenId, UnixTime};
use proptest::sample::Index;

/// Everything that happened.
pub(crate) struct Reference {
    tokens: HashMap<TokenId, Token>,
    order: Vec<TokenId>,
    // In the order of their commits.
    revocations: Vec<(Revoked, Option<UnixTime>)>,
    // How many of them each vault knows of.
    known: Vec<usize>,
}

pub(crate) enum Revoked {
    Owner(Subject),
    Scope(Scope),
}

pub(crate) struct Token {
    owner: Subject,
    home: Scope,
    restriction: Restriction,
    parent: Option<TokenId>,
    created_at: UnixTime,
    // How many revocations of many its issuer knew of.
    known: usize,
    // The newest secret last, each with its end.
    secrets: Vec<Secret>,
    pub(crate) revoked: bool,
    pub(crate) held: bool,
    disowned: bool,
}

struct Secret {
    until: Option<UnixTime>,
    // The token's text, and what its holders made of it with the caveats they added.
    texts: Vec<(String, Vec<Restriction>)>,
}

impl Reference {
    pub(crate) fn new(vaults: usize) -> Self {
        Self { tokens: HashMap::new(), order: Vec::new(), revocations: Vec::new(), known: vec![0; vaults] }
    }

    pub(crate) fn caught_up(&mut self, vault: usize) {
        self.known[vault] = self.revocations.len();
    }

    #[expect(clippy::too_many_arguments, reason = "one of each")]
    pub(crate) fn issued(
        &mut self,
        id: TokenId,
        owner: Subject,
        home: Scope,
        restriction: Restriction,
        parent: Option<TokenId>,
        text: String,
        now: UnixTime,
        vault: usize,
    ) {
        let secrets = vec![Secret { until: None, texts: vec![(text, Vec::new())] }];
        let token = Token {
            owner,
            home,
            restriction,
            parent,
            created_at: now,
            known: self.known[vault],
            secrets,
            revoked: false,
            held: false,
            disowned: false,
        };
        assert!(self.tokens.insert(id, token).is_none(), "an id twice");
        self.order.push(id);
    }

    pub(crate) fn token(&mut self, id: TokenId) -> &mut Token {
        self.tokens.get_mut(&id).unwrap()
    }

    pub(crate) fn pick_token(&self, index: &Index) -> Option<TokenId> {
        (!self.order.is_empty()).then(|| *index.get(&self.order))
    }

    /// Any text there ever was, with its token.
    pub(crate) fn pick_secret(&self, index: &Index) -> Option<(String, TokenId)> {
        let texts: Vec<_> = self
            .order
            .iter()
            .flat_map(|id| self.tokens[id].secrets.iter().map(move |secret| (secret, *id)))
            .flat_map(|(secret, id)| secret.texts.iter().map(move |(text, _)| (text, id)))
            .collect();
        (!texts.is_empty()).then(|| {
            let (text, id) = *index.get(&texts);
            (text.clone(), id)
        })
    }

    pub(crate) fn attenuated(&mut self, id: TokenId, from: &str, text: String, caveat: Restriction) {
        for secret in &mut self.token(id).secrets {
            if let Some((_, caveats)) = secret.texts.iter().find(|(known, _)| known == from) {
                let caveats = caveats.iter().cloned().chain([caveat]).collect();
                secret.texts.push((text, caveats));
                return;
            }
        }
    }

    pub(crate) fn rotated(&mut self, id: TokenId, text: String, until: UnixTime) {
        let secrets = &mut self.token(id).secrets;
        secrets.last_mut().unwrap().until = Some(until);
        secrets.push(Secret { until: None, texts: vec![(text, Vec::new())] });
        // Only four old ones are remembered; older ones are dead whatever their end.
        let old = secrets.len().saturating_sub(5);
        for secret in &mut secrets[..old] {
            secret.until = Some(UnixTime::EPOCH);
        }
    }

    pub(crate) fn overlap_ended(&mut self, id: TokenId, now: UnixTime) {
        for secret in &mut self.token(id).secrets {
            secret.until = secret.until.map(|until| until.min(now));
        }
    }

    pub(crate) fn narrowed(&mut self, id: TokenId, to: &Restriction) {
        let token = self.token(id);
        token.restriction = token.restriction.intersect(to).unwrap();
    }

    pub(crate) fn descendants_revoked(&mut self, id: TokenId) {
        for token in self.tokens.values_mut() {
            token.disowned |= token.parent == Some(id);
        }
    }

    pub(crate) fn revoked_many(&mut self, which: Revoked, before: Option<UnixTime>) {
        self.revocations.push((which, before));
    }

    /// For every text: `None` when it must be refused, else all that bounds it.
    pub(crate) fn answers(&self, now: UnixTime) -> Vec<(String, Option<Vec<&Restriction>>)> {
        let mut answers = Vec::new();
        for token in self.tokens.values() {
            for secret in &token.secrets {
                for (text, caveats) in &secret.texts {
                    let in_time = secret.until.is_none_or(|until| now < until);
                    let caveats_hold = caveats.iter().all(|caveat| !caveat.is_expired(now));
                    // What another token issued is not delegable here: holders narrow it in vain.
                    let delegable = caveats.is_empty() || token.parent.is_none();
                    let line = self.line(token);
                    let lives = line.iter().all(|token| self.lives(token, now));
                    let accepted = in_time && caveats_hold && delegable && lives;
                    let bounds = line.iter().map(|token| &token.restriction).chain(caveats).collect();
                    answers.push((text.clone(), accepted.then_some(bounds)));
                }
            }
        }
        answers
    }

    /// The token and all above it.
    fn line<'a>(&'a self, token: &'a Token) -> Vec<&'a Token> {
        let mut line = vec![token];
        while let Some(parent) = line[line.len() - 1].parent {
            line.push(&self.tokens[&parent]);
        }
        line
    }

    fn lives(&self, token: &Token, now: UnixTime) -> bool {
        let killed = self.revocations[token.known..].iter().any(|(which, before)| {
            let covered = match which {
                Revoked::Owner(owner) => *owner == token.owner,
                Revoked::Scope(scope) => scope.contains(&token.home),
            };
            covered && before.is_none_or(|before| token.created_at < before)
        });
        !killed && !token.revoked && !token.held && !token.disowned && !token.restriction.is_expired(now)
    }
}
