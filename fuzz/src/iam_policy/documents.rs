//! Whole directories, questions, and pairs of policies, as documents.

use core_types::{Permission, Principal, Restriction, Scope};
use iam_policy::cover::{Coverage, Saying};
use iam_policy::diff::diff;
use iam_policy::document::{AnswerDocument, DirectoryDocument, Outcome, RequestDocument};
use iam_policy::{AccessRequest, Context, Decision, Directory, Effect, PolicyDocument, Truth};
use state_store::Revision;

use crate::follow::NOW;

/// A directory is written as it was read, decides as what was written, and its exact answers are those of its
/// decisions.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
pub(crate) fn directory_document(input: &[u8]) -> bool {
    let Ok(document) = DirectoryDocument::parse(input) else { return false };
    let text = document.to_json();
    assert_eq!(DirectoryDocument::parse(text.as_bytes()).unwrap(), document);
    let directory = document.directory();
    let again = DirectoryDocument::of(&directory).unwrap();
    assert_eq!(again.records(), document.records());
    // Time is bounded by the input, its square by this.
    if input.len() > 4096 {
        return true;
    }
    let findings = directory.lint(NOW, document.registry());
    assert!(findings.is_sorted() && again.directory().lint(NOW, document.registry()) == findings);
    if let Ok(changes) = diff(&directory, &again.directory(), NOW, &Context::new()) {
        assert_eq!(changes, []);
    }
    let (whole, scope) = (Restriction::unrestricted(), "project/web".parse().unwrap());
    let permissions: [Permission; 3] =
        ["apps:read", "iam:write", "any:other"].map(|text| text.parse().unwrap());
    for subject in directory.subjects() {
        let principal = Principal::subject(subject.id);
        for permission in &permissions {
            let request = AccessRequest::new(&principal, &whole, permission, &scope, NOW);
            assert_exact(&directory, &request);
        }
    }
    true
}

/// The narrowest pieces that contain what is asked say what is decided.
fn assert_exact(directory: &Directory, request: &AccessRequest<'_>) {
    let authorizer = directory.at(Revision::ZERO);
    let is_allow = |decision: &Decision| matches!(decision, Decision::Allow(_));
    let decision = authorizer.authorize(request);
    let explanation = authorizer.explain(request);
    assert_eq!(explanation.decision, decision);
    let answer = AnswerDocument::of(&explanation);
    assert_eq!(answer.decision == Outcome::Allow, is_allow(&decision));
    assert!(!answer.reasons.is_empty());
    if let Ok(page) = authorizer.what_can_exactly(request, (None, 1000))
        && page.next.is_none()
    {
        let around = page.pieces.iter().filter(|piece| piece.of.matches(request.permission));
        let named = |piece: &&iam_policy::what::Piece<core_types::PermissionPattern>| {
            usize::from(piece.of.service().is_some()).saturating_add(usize::from(piece.of.verb().is_some()))
        };
        let narrowest = around.max_by_key(named);
        assert_eq!(narrowest.is_some_and(|piece| is_allow(&piece.decision)), is_allow(&decision));
    }
    if let Ok(page) = authorizer.where_can(request, (None, 1000))
        && page.next.is_none()
    {
        let around = page.pieces.iter().filter(|piece| piece.of.contains(request.resource));
        let narrowest = around.max_by_key(|piece| piece.of.depth());
        assert_eq!(narrowest.is_some_and(|piece| is_allow(&piece.decision)), is_allow(&decision));
    }
}

/// A question is written as it was read, and nobody is known to an empty directory.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
pub(crate) fn request(input: &[u8]) -> bool {
    let Ok(request) = RequestDocument::parse(input) else { return false };
    assert_eq!(RequestDocument::parse(request.to_json().as_bytes()).unwrap(), request);
    let nobody = Directory::new();
    let answer = AnswerDocument::of(&nobody.at(Revision::ZERO).explain(&request.as_request(NOW)));
    assert_eq!(answer.decision, Outcome::Deny);
    true
}

/// Two lines, a policy each: what is said to show that one does not cover the other shows it.
#[expect(clippy::unwrap_used, reason = "constants")]
pub(crate) fn covers(input: &[u8]) -> bool {
    let Some((first, second)) = str::from_utf8(input).ok().and_then(|text| text.split_once('\n')) else {
        return false;
    };
    let [first, second] = [first, second].map(serde_json::from_str::<PolicyDocument>);
    let (Ok(first), Ok(second)) = (first, second) else { return false };
    let Ok(coverage) = first.covers(&second) else { return false };
    match coverage {
        Coverage::Whole => {
            let (less, more) = super::contexts();
            for (text, context) in ["apps:read", "compute:start", "other:other"]
                .into_iter()
                .flat_map(|permission| [(permission, &less), (permission, &more)])
            {
                let permission = text.parse().unwrap();
                for scope in ["/", "project/web", "project/web/vcluster/ci"].map(|it| it.parse().unwrap()) {
                    let [own, other] =
                        [&first, &second].map(|it| saying(it, (&permission, &scope), (context, NOW)));
                    assert!(own >= other, "{permission} at {scope}");
                }
            }
        }
        Coverage::Lacks(witness) => {
            let question = (&witness.permission, &witness.resource);
            let [own, other] =
                [&first, &second].map(|it| saying(it, question, (&witness.context, witness.now)));
            assert_eq!((own, other), (witness.says, witness.other));
            assert!(own < other);
        }
    }
    true
}

fn saying(
    document: &PolicyDocument,
    (permission, scope): (&Permission, &Scope),
    (context, now): (&Context, core_types::UnixTime),
) -> Saying {
    let about = || document.statements().iter().filter(|it| it.concerns(permission, scope));
    let is = |effect: Effect, truth: fn(Truth) -> bool| {
        about().any(|it| it.effect() == effect && truth(it.holds(context, now)))
    };
    if is(Effect::Deny, |truth| truth != Truth::False) {
        Saying::Denies
    } else if is(Effect::Allow, |truth| truth == Truth::True) {
        Saying::Allows
    } else {
        Saying::Nothing
    }
}
