//! Patterns and names made to be slow: twice the size takes twice the time.
//!
//! Each case is asked at sizes that double; printed are the best of some rounds in CPU time of the thread, and its ratio to
//! the size before. Where time is linear in the name the ratio comes to 2, and where it is quadratic to 4; a matcher that
//! goes back over stars does not come to the second line of `aws/stars`. `iam_hostile --bench aws` runs those that begin so.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a bench that cannot be set up has nothing to say, and says it here"
)]

use std::hint::black_box;
use std::time::Duration;

use core_types::{PermissionPattern, Principal, Restriction, Scope, Subject, UnixTime, UserId};
use iam_policy::document::DirectoryDocument;
use iam_policy::{AccessRequest, PatternSet};
use iam_policy_import::casbin::Casbin;
use iam_policy_import::{SourceFile, aws, casbin};
use rustix::time::{ClockId, clock_gettime};
use state_store::Revision;

/// A case at one size: the question, and whether it is allowed.
type Case = (Box<dyn Fn() -> bool>, bool);
/// What a case is called, what grows, from which size on, and the case.
type Growing = (&'static str, &'static str, usize, fn(usize) -> Case);

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let cases: [Growing; 7] = [
        ("aws/stars", "bytes of the name", 1 << 12, |size| aws_case(&format!("{}b*", "a*".repeat(64)), size)),
        ("aws/more-stars", "stars, the name of 64 KiB", 1 << 9, |size| {
            aws_case(&format!("{}b", "a*".repeat(size)), 1 << 16)
        }),
        ("aws/stars-and-holes", "bytes of the name", 1 << 12, |size| {
            aws_case(&format!("{}b*", "a*?".repeat(64)), size)
        }),
        ("aws/a-long-piece-with-a-hole", "bytes of the name", 1 << 12, |size| {
            aws_case(&format!("*{}?b*", "a".repeat(64)), size)
        }),
        ("casbin/segments", "bytes of the key", 1 << 10, |size| casbin_case("/*/:a/*/:b/*/:c/*/z", size)),
        ("casbin/more-segments", "segments of the pattern, the key of 8 KiB", 1 << 3, |size| {
            casbin_case(&format!("{}/z", "/*/:a".repeat(size)), 1 << 13)
        }),
        ("ours/patterns", "patterns of the role, the longest names", 1 << 3, ours_case),
    ];
    for (name, grows, first, case) in cases.into_iter().filter(|(name, ..)| name.starts_with(&filter)) {
        println!("{name} ({grows})");
        let mut before: Option<Duration> = None;
        for step in 0..5 {
            let size = first << step;
            let (ask, expected) = case(size);
            assert_eq!(ask(), expected, "{name} at {size}");
            let took = best(&ask);
            let ratio = before
                .map_or(String::new(), |before| format!("{:.2}x", took.as_secs_f64() / before.as_secs_f64()));
            println!("  {size:>8} {:>12} ns {ratio:>8}", took.as_nanos());
            before = Some(took);
        }
    }
}

/// The name is all `a`, and the last piece of the pattern is nowhere.
fn aws_case(pattern: &str, size: usize) -> Case {
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "s3:*", "Resource": "{pattern}"}}}}"#
    );
    let policies =
        aws::Policies::read(&[SourceFile { name: "hostile.json", bytes: policy.as_bytes() }]).unwrap();
    let request = format!(r#"{{"action": "s3:GetObject", "resource": "{}"}}"#, "a".repeat(size));
    let request = aws::Request::parse(request.as_bytes()).unwrap();
    (Box::new(move || is_aws_allowed(&policies, &request)), false)
}

fn is_aws_allowed(policies: &aws::Policies, request: &aws::Request) -> bool {
    matches!(policies.decide(request), iam_policy_import::Verdict::Allow(_))
}

/// The key is all short segments, and the last one of the pattern is nowhere.
fn casbin_case(pattern: &str, size: usize) -> Case {
    let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
        [policy_effect]\ne = some(where (p.eft == allow))\n\
        [matchers]\nm = r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act\n";
    let rows = format!("p, alice, {pattern}, read\n");
    let files = [
        SourceFile { name: "model.conf", bytes: model.as_bytes() },
        SourceFile { name: "policy.csv", bytes: rows.as_bytes() },
    ];
    let policy = Casbin::read(&files).unwrap();
    let request = format!(r#"{{"sub": "alice", "obj": "{}", "act": "read"}}"#, "/a".repeat(size / 2));
    let request = casbin::Request::parse(request.as_bytes()).unwrap();
    (Box::new(move || matches!(policy.decide(&request), iam_policy_import::Verdict::Allow(_))), false)
}

/// Patterns that differ from what is asked in their last letter, of names as long as names may be.
fn ours_case(size: usize) -> Case {
    let long = "a".repeat(55);
    let patterns: Vec<String> =
        (0..size).map(|number| format!("{long}{number:05}:{long}{number:05}")).collect();
    let set: Vec<PermissionPattern> = patterns.iter().map(|text| text.parse().unwrap()).collect();
    let set = PatternSet::new(set).unwrap();
    let user = UserId::from_bytes([1; 16]);
    let role = "rol_00000000000000000000000001";
    let document = serde_json::json!({"version": 1,
        "subjects": [{"id": user, "name": "alice", "home": "/", "state": "enabled"}],
        "roles": [{"id": role, "name": "long", "home": "/", "permissions": set, "policies": []}],
        "bindings": [{"id": "bnd_00000000000000000000000001", "role": role, "holder": user, "scope": "/",
            "expires_at": "unlimited"}]});
    let directory = DirectoryDocument::parse(document.to_string().as_bytes()).unwrap().directory();
    let (permission, scope) = (format!("{long}99999:{long}99999").parse().unwrap(), Scope::root());
    let (alice, whole) = (Principal::subject(Subject::User(user)), Restriction::unrestricted());
    let ask = move || {
        let request = AccessRequest::new(&alice, &whole, &permission, &scope, UnixTime::EPOCH);
        matches!(directory.at(Revision::ZERO).authorize(&request), iam_policy::Decision::Allow(_))
    };
    (Box::new(ask), false)
}

/// The least CPU time of one call, of rounds of at least a millisecond each.
fn best(ask: &dyn Fn() -> bool) -> Duration {
    let round = |calls: u32| {
        let start = cpu_time();
        for _ in 0..calls {
            black_box(black_box(ask)());
        }
        cpu_time().saturating_sub(start)
    };
    let mut calls = 1;
    while round(calls) < Duration::from_millis(1) && calls < 1 << 20 {
        calls *= 2;
    }
    (0..7).map(|_| round(calls)).min().unwrap() / calls
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}
