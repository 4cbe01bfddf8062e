//! What another directory would have decided of requests that were made.

use crate::authorizer::Authorizer;
use crate::explain::Explanation;
use crate::request::AccessRequest;

/// A request that the candidate decides otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flip {
    /// Which request, counted from 0.
    pub index: usize,
    /// Why it was decided as it was.
    pub before: Explanation,
    /// Why it would be decided otherwise.
    pub after: Explanation,
}

/// Decides each request by both, and answers with those that are allowed by one and denied by the other, in order,
/// each when it is asked for. The instants and circumstances are those of the requests.
pub fn back_test<'r>(
    before: Authorizer<'_>,
    candidate: Authorizer<'_>,
    requests: impl IntoIterator<Item = AccessRequest<'r>>,
) -> impl Iterator<Item = Flip> {
    requests.into_iter().enumerate().filter_map(move |(index, request)| {
        let is_same = before.authorize(&request).is_allow() == candidate.authorize(&request).is_allow();
        (!is_same).then(|| Flip {
            index,
            before: before.explain(&request),
            after: candidate.explain(&request),
        })
    })
}
