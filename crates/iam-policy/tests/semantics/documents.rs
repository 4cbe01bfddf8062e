//! A directory, a question and an answer as documents.

use core_types::Principal;
use iam_policy::document::{AnswerDocument, DirectoryDocument, Outcome, RequestDocument};
use iam_policy::{AccessRequest, Decision, DocumentError};
use proptest::prelude::*;

use crate::agreement::{context_of, decide};
use crate::arb::{arb_questions, arb_world};
use crate::reference::Question;
use crate::world::{Fate, REVISION, World};

proptest! {
    #![proptest_config(crate::config(400))]

    #[test]
    fn a_directory_that_was_written_and_read_decides_the_same(
        world in arb_world(), questions in arb_questions(30)
    ) {
        let directory = whole(world).directory();
        let document = DirectoryDocument::of(&directory).unwrap();
        let text = document.to_json();
        let read = DirectoryDocument::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&read, &document);
        prop_assert_eq!(read.to_json(), text);
        let again = read.directory();
        prop_assert_eq!(DirectoryDocument::of(&again).unwrap(), document);
        for question in questions {
            prop_assert_eq!(decide(&again, &question), decide(&directory, &question));
        }
    }

    #[test]
    fn what_nobody_can_read_is_in_no_document(world in arb_world()) {
        let is_whole = !world.has_unknown_family && !format!("{world:?}").contains("Unreadable");
        let is_written = DirectoryDocument::of(&world.directory());
        // Two records of one world may stand under one key.
        prop_assert_eq!(is_written.is_ok(), is_whole && !has_circle(&world), "{:?}", is_written);
        let is_circle = matches!(is_written, Err(DocumentError::Circle { .. }));
        prop_assert_eq!(is_circle, is_whole && has_circle(&world));
    }

    #[test]
    fn a_question_that_was_written_and_read_is_answered_the_same(
        world in arb_world(), questions in arb_questions(20)
    ) {
        let directory = world.directory();
        for question in questions {
            let Question { subject, restriction, permission, resource, now, .. } = question.clone();
            let principal = Principal::subject(subject);
            let context = context_of(&question);
            let request = AccessRequest::new(&principal, &restriction, &permission, &resource, now);
            let document = RequestDocument::new(principal, permission.clone(), resource.clone())
                .with_restriction(restriction.clone())
                .with_context(context.clone())
                .at(now);
            let read = RequestDocument::parse(document.to_json().as_bytes()).unwrap();
            prop_assert_eq!(&read, &document);
            let authorizer = directory.at(REVISION);
            let decision = authorizer.authorize(&request.with_context(&context));
            let explanation = authorizer.explain(&read.as_request(core_types::UnixTime::EPOCH));
            prop_assert_eq!(&explanation.decision, &decision);
            let answer = AnswerDocument::of(&explanation);
            prop_assert_eq!(answer.decision == Outcome::Allow, matches!(decision, Decision::Allow(_)));
            let first = answer.reasons.first().unwrap().code;
            match &decision {
                Decision::Allow(_) => prop_assert_eq!(first, "granted"),
                Decision::Deny(deny) => prop_assert_eq!(first, deny.reason.code()),
            }
            let text = answer.to_json();
            prop_assert!(text.starts_with(r#"{"decision":""#), "{}", text);
        }
    }
}

/// The same world, with nothing in it that is unreadable, as a store would never have it twice.
fn whole(mut world: World) -> World {
    let read = |fate: &mut Fate| {
        if *fate == Fate::Unreadable {
            *fate = Fate::Readable;
        }
    };
    world.has_unknown_family = false;
    world.subjects.iter_mut().for_each(|fact| read(&mut fact.fate));
    world.groups.iter_mut().for_each(|fact| read(&mut fact.fate));
    world.roles.iter_mut().for_each(|fact| read(&mut fact.fate));
    world.members.iter_mut().for_each(|fact| read(&mut fact.fate));
    world.bindings.iter_mut().for_each(|fact| read(&mut fact.fate));
    world.policies.iter_mut().for_each(|fact| read(&mut fact.fate));
    world.boundaries.iter_mut().for_each(|fact| read(&mut fact.fate));
    world.trusts.iter_mut().for_each(|fact| read(&mut fact.fate));
    world.nestings.iter_mut().for_each(|fact| read(&mut fact.fate));
    world.nestings.retain(|fact| fact.inner < fact.outer);
    world
}

/// Whether one comes back to a group by going on to groups it is in, whether these exist or not.
fn has_circle(world: &World) -> bool {
    let mut left: Vec<_> = world.nestings.iter().filter(|it| it.fate != Fate::Gone).collect();
    loop {
        let ends: Vec<_> =
            left.iter().filter(|it| left.iter().all(|other| other.inner != it.outer)).collect();
        let Some(end) = ends.first().map(|end| (end.outer, end.inner)) else { return !left.is_empty() };
        left.retain(|it| (it.outer, it.inner) != end);
    }
}

const WHOLE: &str = r#"{"version": 1,
  "subjects": [{"id":"usr_00000000000000000000000001","name":"alice","home":"/","state":"enabled"}],
  "policies": [{"id":"pol_00000000000000000000000001","name":"p","home":"/","document":{"statements":[{"effect":"deny","permissions":["a:b"],"scopes":"unlimited","conditions":[{"not":true,"test":{"flag":"a.b"}},{"not":false,"test":{"number":{"attribute":"a.b","at_least":{"only":1},"at_most":"unlimited"}}}]}]}}],
  "bindings": [{"id":"bnd_00000000000000000000000001","role":"pol_00000000000000000000000001","holder":"usr_00000000000000000000000001","scope":"/","expires_at":"unlimited"}],
  "boundaries": [{"subject":"usr_00000000000000000000000001","limit":{"grants":{"only":[{"permissions":"a:b","scope":"/"}]},"expires_at":"unlimited"}}],
  "registry": [{"permission":"a:b","access":"tag"}]
}"#;

#[test]
fn a_document_that_is_not_of_the_one_shape_is_refused_wherever_that_shows() {
    let parse = |text: &str| DirectoryDocument::parse(text.as_bytes());
    assert_eq!(parse(r#"{"version":1}"#).unwrap(), DirectoryDocument::default());
    let document = parse(WHOLE).unwrap();
    assert_eq!(document.registry().unwrap().iter().count(), 1);
    assert_eq!(parse(&document.to_json()).unwrap(), document);
    let bad = [
        // An array is no object, however deep.
        (
            r#"{"id":"usr_00000000000000000000000001","name":"alice","home":"/","state":"enabled"}"#,
            r#"["usr_00000000000000000000000001","alice","/","enabled"]"#,
        ),
        (r#"{"not":true,"test":{"flag":"a.b"}}"#, r#"[true,{"flag":"a.b"}]"#),
        (
            r#"{"attribute":"a.b","at_least":{"only":1},"at_most":"unlimited"}"#,
            r#"["a.b",{"only":1},"unlimited"]"#,
        ),
        (r#"{"permissions":"a:b","scope":"/"}"#, r#"["a:b","/"]"#),
        (r#"{"permission":"a:b","access":"tag"}"#, r#"["a:b","tag"]"#),
        // Nothing is unknown, missing or there twice.
        (r#""version": 1"#, r#""version": 1, "more": []"#),
        (r#""version": 1"#, r#""version": 1, "version": 1"#),
        (r#""version": 1"#, r#""version": 1, "groups": null"#),
        (r#""version": 1,"#, ""),
        (r#""name":"alice""#, r#""name":"alice","age":3"#),
        (r#""name":"alice","#, ""),
        (r#""name":"alice""#, r#""name":"alice","name":"alice""#),
        (r#""name":"alice""#, r#""name":"*""#),
        (r#""at_least":{"only":1}"#, r#""at_least":{"only":1,"only":1}"#),
        (r#"[{"permission":"a:b","access":"tag"}]"#, "null"),
        (
            r#"{"permission":"a:b","access":"tag"}"#,
            r#"{"permission":"a:b","access":"tag"},{"permission":"a:b","access":"read"}"#,
        ),
        ("\n}", "\n}}"),
        ("\n}", ""),
    ];
    for (from, to) in bad {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE);
        let error = parse(&text).unwrap_err();
        assert!(matches!(error, DocumentError::Malformed { .. }), "{text}: {error}");
    }
    assert_eq!(parse(r#"{"version":2}"#), Err(DocumentError::Version { found: 2, known: 1 }));
    assert!(parse(r#"[1]"#).is_err() && parse("").is_err() && parse("null").is_err());
    let twice = WHOLE.replace("\"registry\"", "\"groups\": [], \"x\"");
    assert!(parse(&twice).is_err());
}

#[test]
fn a_document_that_says_a_thing_twice_or_too_often_is_refused() {
    let parse = |text: &str| DirectoryDocument::parse(text.as_bytes());
    let alice = r#"{"id":"usr_00000000000000000000000001","name":"alice","home":"/","state":"enabled"}"#;
    let twice = WHOLE.replacen(alice, &format!("{alice},{alice}"), 1);
    assert!(matches!(parse(&twice), Err(DocumentError::Repeated { what: "subject", .. })));
    let groups = |count: usize| {
        let member = |number: usize| {
            format!(r#"{{"group":"grp_{number:026}","subject":"usr_00000000000000000000000001"}}"#)
        };
        let members: Vec<String> = (0..count).map(member).collect();
        parse(&format!(r#"{{"version":1,"memberships":[{}]}}"#, members.join(",")))
    };
    assert!(groups(64).is_ok());
    assert_eq!(groups(65), Err(DocumentError::TooMany { what: "groups of one subject", limit: 64 }));
    let bindings = |count: usize| {
        let binding = |number: usize| {
            format!(
                r#"{{"id":"bnd_{number:026}","role":"apps-read","holder":"usr_00000000000000000000000001","scope":"/","expires_at":"unlimited"}}"#
            )
        };
        let bindings: Vec<String> = (0..count).map(binding).collect();
        parse(&format!(r#"{{"version":1,"bindings":[{}]}}"#, bindings.join(",")))
    };
    assert!(bindings(1024).is_ok());
    assert!(matches!(bindings(1025), Err(DocumentError::TooMany { .. })));
}

#[test]
fn a_document_whose_groups_are_in_themselves_or_too_deep_or_too_many_is_refused() {
    let id = |number: usize| format!("grp_{number:026}");
    let parse = |pairs: &[(usize, usize)]| {
        let text = |(outer, inner): &(usize, usize)| {
            format!(r#"{{"group":"{}","inner":"{}"}}"#, id(*outer), id(*inner))
        };
        let all: Vec<String> = pairs.iter().map(text).collect();
        DirectoryDocument::parse(format!(r#"{{"version":1,"nestings":[{}]}}"#, all.join(",")).as_bytes())
    };
    let circle = |numbers: &[usize]| {
        let groups = numbers.iter().map(|number| id(*number).parse().unwrap()).collect();
        Err(DocumentError::Circle { groups })
    };
    assert_eq!(parse(&[(1, 1)]), circle(&[1]));
    assert_eq!(parse(&[(2, 1), (3, 2), (1, 3), (4, 3), (1, 5)]), circle(&[1, 2, 3]));
    let way = |levels: usize| (0..levels).map(|level| (level + 1, level)).collect::<Vec<_>>();
    assert!(parse(&way(8)).is_ok());
    let too_deep = DocumentError::TooMany { what: "levels of groups in groups", limit: 8 };
    assert_eq!(parse(&way(9)), Err(too_deep));
    let above = |count: usize| (1..=count).map(|outer| (outer, 0)).collect::<Vec<_>>();
    assert!(parse(&above(64)).is_ok());
    let too_many = DocumentError::TooMany { what: "groups that one group is in", limit: 64 };
    assert_eq!(parse(&above(65)), Err(too_many.clone()));
    let spread: Vec<_> = above(63).into_iter().chain([(70, 1), (71, 1)]).collect();
    assert_eq!(parse(&spread), Err(too_many));
    let within = |count: usize| (1..=count).map(|inner| (0, inner)).collect::<Vec<_>>();
    assert!(parse(&within(1024)).is_ok());
    let too_wide = DocumentError::TooMany { what: "groups in one group", limit: 1024 };
    assert_eq!(parse(&within(1025)), Err(too_wide));
    assert!(matches!(parse(&[(2, 1), (2, 1)]), Err(DocumentError::Repeated { what: "nesting", .. })));
    // A long circle is refused without recursion, and told in part.
    let ring: Vec<_> = (0..50_000).map(|at| ((at + 1) % 50_000, at)).collect();
    let Err(DocumentError::Circle { groups }) = parse(&ring) else { panic!("a circle is refused") };
    assert_eq!(groups.len(), 64);
}

#[test]
fn a_question_that_is_not_of_the_one_shape_is_refused() {
    let parse = |text: &str| RequestDocument::parse(text.as_bytes());
    let good = r#"{"principal":"usr_00000000000000000000000001","permission":"a:b","scope":"/","context":{"client_ip":"192.0.2.7","mfa":true,"attributes":{"a.b":["x"],"a.c":3}}}"#;
    let request = parse(good).unwrap();
    assert_eq!(request.to_json(), good);
    assert!(parse(&request.clone().at(core_types::UnixTime::EPOCH).to_json()).is_ok());
    let bad = [
        ("a:b", "a:*"),
        ("a:b", "*:*"),
        ("usr_00000000000000000000000001", "*"),
        ("usr_00000000000000000000000001", "grp_00000000000000000000000001"),
        (r#""scope":"/""#, r#""scope":"""#),
        (r#""scope":"/""#, r#""scope":"/","resource":"/""#),
        (r#""scope":"/""#, r#""scope":"/","scope":"/""#),
        (r#","scope":"/""#, ""),
        ("true", "1"),
        ("true", "null"),
        ("192.0.2.7", "192.0.2.007"),
        ("[\"x\"]", "[3]"),
        ("[\"x\"]", "null"),
        ("[\"x\"]", "{}"),
        ("\"a.c\":3", "\"a.c\":3.5"),
        ("\"a.c\":3", "\"a.b\":3"),
        ("\"a.c\":3", "\"ab\":3"),
        (r#"{"client_ip":"192.0.2.7","mfa":true,"attributes":{"a.b":["x"],"a.c":3}}"#, "null"),
    ];
    for (from, to) in bad {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        assert!(parse(&text).is_err(), "{text}");
    }
    let long = format!("{good}{}", " ".repeat(256 * 1024));
    assert_eq!(parse(&long), Err(DocumentError::TooLarge { limit: 256 * 1024 }));
    let answer = AnswerDocument::refused(parse("{}").unwrap_err().to_string());
    assert_eq!(answer.decision, Outcome::Deny);
    assert_eq!(answer.reasons[0].code, "request");
}
