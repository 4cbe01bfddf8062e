//! regorus: Rego over roles as they are, in the interpreter, and over what each user may do, worked out beforehand, in the
//! virtual machine.

use std::collections::BTreeSet;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Rc, Value};
use serde_json::{Map, json};

use crate::clock::Contender;
use crate::loaded;
use crate::world::{VERBS, World};

const IDIOMATIC: &str = r"
package authz
import rego.v1
default allow := false
roles contains role if some role in data.users[input.user].roles
roles contains role if { some group in data.users[input.user].groups; some role in data.groups[group] }
granted if { some role in roles; data.roles[role].all }
granted if { some role in roles; input.service in data.roles[role].services }
granted if { some role in roles; input.permission in data.roles[role].permissions }
denied if { some role in roles; input.permission in data.roles[role].denied }
allow if { granted; not denied }
";
const EXPERT: &str = r"
package authz
import rego.v1
default allow := false
allow if data.allowed[input.user][input.permission]
";
const RULE: &str = "data.authz.allow";

pub(crate) struct Regorus {
    decide: Box<dyn FnMut(Value) -> Value>,
    inputs: Vec<Value>,
}

pub(crate) fn idiomatic(world: &World) -> Regorus {
    let decide = loaded("regorus, idiomatic", world.users.len(), || {
        let mut engine = engine(IDIOMATIC);
        engine.add_data(roles_as_they_are(world)).unwrap();
        move |input| {
            engine.set_input(input);
            engine.eval_rule(RULE.to_owned()).unwrap()
        }
    });
    Regorus { decide: Box::new(decide), inputs: inputs(world) }
}

pub(crate) fn expert(world: &World) -> Regorus {
    let decide = loaded("regorus, expert", world.users.len(), || {
        let policy = engine(EXPERT).compile_with_entrypoint(&Rc::from(RULE)).unwrap();
        let mut machine = RegoVM::new();
        machine.load_program(Compiler::compile_from_policy(&policy, &[RULE]).unwrap());
        machine.set_data(worked_out(world)).unwrap();
        move |input| {
            machine.set_input(input);
            machine.execute().unwrap()
        }
    });
    Regorus { decide: Box::new(decide), inputs: inputs(world) }
}

impl Regorus {
    pub(crate) fn contender(mut self, name: &'static str) -> Contender<'static> {
        let decide = move |from: usize, count: usize| {
            let numbers = from..from + count;
            numbers
                .filter(|number| {
                    let input = self.inputs[number % self.inputs.len()].clone();
                    (self.decide)(input) == Value::from(true)
                })
                .count()
        };
        Contender { name, is_of_strings: false, decide: Box::new(decide), checked: 512 }
    }
}

fn engine(policy: &str) -> Engine {
    let mut engine = Engine::new();
    engine.add_policy("authz.rego".to_owned(), policy.to_owned()).unwrap();
    engine
}

/// Values, so that what is measured is the decision.
fn inputs(world: &World) -> Vec<Value> {
    let input = |user: usize, permission: usize| {
        let service = format!("s{}", permission / VERBS);
        value(
            &json!({"user": format!("u{user}"), "permission": format!("p{permission}"), "service": service}),
        )
    };
    world.requests.iter().map(|request| input(request.user, request.permission)).collect()
}

fn roles_as_they_are(world: &World) -> Value {
    let named = |prefix: &str, numbers: &[usize]| -> Vec<String> {
        numbers.iter().map(|number| format!("{prefix}{number}")).collect()
    };
    let users = world.users.iter().enumerate().map(|(number, user)| {
        let roles: Vec<usize> = user.bindings.iter().map(|binding| binding.role).collect();
        (format!("u{number}"), json!({"groups": named("g", &user.groups), "roles": named("r", &roles)}))
    });
    let groups = world.groups.iter().enumerate().map(|(number, bindings)| {
        let roles: Vec<usize> = bindings.iter().map(|binding| binding.role).collect();
        (format!("g{number}"), json!(named("r", &roles)))
    });
    let roles = world.roles.iter().enumerate().map(|(number, role)| {
        let denied: Vec<usize> = role.denied.into_iter().collect();
        let role = json!({
            "all": role.is_all,
            "services": named("s", &role.services),
            "permissions": named("p", &role.permissions),
            "denied": named("p", &denied),
        });
        (format!("r{number}"), role)
    });
    let (users, groups, roles): (Map<_, _>, Map<_, _>, Map<_, _>) =
        (users.collect(), groups.collect(), roles.collect());
    value(&json!({"users": users, "groups": groups, "roles": roles}))
}

/// Every user with every permission that it has: only where all is bound at one place.
fn worked_out(world: &World) -> Value {
    let allowed = (0..world.users.len()).map(|user| {
        let roles: BTreeSet<usize> = world.bindings(user).map(|binding| binding.role).collect();
        let has = |permission: &usize| {
            roles.iter().any(|role| world.roles[*role].has(*permission))
                && !roles.iter().any(|role| world.roles[*role].denied == Some(*permission))
        };
        let permissions: Map<_, _> = (0..world.permissions.len())
            .filter(has)
            .map(|permission| (format!("p{permission}"), json!(true)))
            .collect();
        (format!("u{user}"), json!(permissions))
    });
    let allowed: Map<_, _> = allowed.collect();
    value(&json!({"allowed": allowed}))
}

fn value(json: &serde_json::Value) -> Value {
    Value::from_json_str(&json.to_string()).unwrap()
}
