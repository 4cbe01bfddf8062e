//! The story: what a platform promises its users, step by step.

#![expect(clippy::indexing_slicing, reason = "a JSON value indexed by a name is null where there is none")]

use std::path::Path;

use serde_json::{Value, json};

use super::http::{Answer, Client};
use super::keys::{self, DemoKey};
use super::{DemoError, Narrator, unexpected};

/// Tells it against the servers at `bases`, in turn, as their administrator, whom it gives back.
pub(super) fn tell(
    bases: Vec<String>,
    admin_token: &str,
    keys_folder: &Path,
    out: &mut Narrator,
) -> Result<Client, DemoError> {
    let (base, is_fleet) = (bases.join(" and "), bases.len() > 1);
    let anyone = Client::new(bases);
    let admin = anyone.with_token(admin_token);

    if is_fleet {
        out.step("Two servers started on one empty database");
        out.say(format_args!("they listen on {base}; each request goes to the other one than the last"));
    } else {
        out.step("A server started on an empty folder");
        out.say(format_args!(
            "it listens on {base}, with an embedded store, a project `default` and an administrator"
        ));
    }
    let hint = admin_token.split('_').next().unwrap_or_default();
    out.say(format_args!("the administrator's token was shown once: {hint}_… (kept out of this story)"));
    expect(anyone.get("/api/v1/ssh-keys")?, 401, "a request without a token")?;
    out.say("a request without a token: 401");

    let keys = keys::keys(keys_folder)?;
    ssh_keys(&admin, &keys, out)?;
    let scoped = scoped_token(&admin, out)?;
    session(&anyone, &admin, out)?;
    isolation(&anyone, &admin, out)?;
    revocation(&anyone, &admin, &scoped, out)?;
    escalation(&anyone, &admin, out)?;
    super::mesh::tell(out)?;
    Ok(admin)
}

fn ssh_keys(admin: &Client, keys: &keys::DemoKeys, out: &mut Narrator) -> Result<(), DemoError> {
    out.step("SSH keys: uploaded, named by their fingerprints");
    out.say(if keys.fresh {
        "keys made just now by the real ssh-keygen"
    } else {
        "ssh-keygen is not installed here: these are keys it made earlier"
    });
    for key in &keys.good {
        let answer = expect(upload(admin, key)?, 201, key.label)?;
        same(&answer.body["fingerprint_sha256"], &key.sha256, "the SHA-256 fingerprint")?;
        same(&answer.body["fingerprint_md5"], &key.md5, "the MD5 fingerprint")?;
        out.say(format_args!("{:<10} {}  {}", key.label, key.sha256, key.md5));
    }
    out.say("both fingerprints are what ssh-keygen -l prints");
    let first = keys.good.first().ok_or_else(|| unexpected("no keys"))?;
    let again = expect(upload(admin, first)?, 200, "the same key again")?;
    out.say(format_args!("the same key uploaded again: 200, the same id {}", text(&again.body["id"])?));
    let refused = expect(upload(admin, &keys.too_short)?, 422, "an RSA key of 1024 bits")?;
    same(&refused.body["error"]["code"], "key_refused", "the code")?;
    out.say(format_args!("rsa-1024: 422 key_refused, «{}»", text(&refused.body["error"]["message"])?));
    Ok(())
}

/// Issues the seed's `ci-deploy` token and shows what it can and cannot do.
fn scoped_token(admin: &Client, out: &mut Narrator) -> Result<Issued, DemoError> {
    out.step("API tokens: shown once, and only for what their scopes say");
    let token =
        issue(admin, "default", &json!({"name": "ci-deploy", "scopes": ["apps:write", "ssh-keys:read"]}))?;
    out.say(format_args!("ci-deploy with apps:write and ssh-keys:read: 201, {}", token.id));
    let listed = expect(admin.get("/api/v1/api-tokens?project=default")?, 200, "the list of tokens")?;
    if listed.body.to_string().contains(&token.plaintext) {
        return Err(unexpected("the list of tokens shows a plaintext"));
    }
    out.say("the list of tokens shows its name, scopes and id, and never the token again");
    let ci = admin.with_token(&token.plaintext);
    expect(ci.get("/api/v1/ssh-keys")?, 200, "reading keys with ssh-keys:read")?;
    out.say("GET  /ssh-keys with ssh-keys:read: 200");
    let body = json!({"name": "x", "public_key": "ssh-ed25519 AAAA"});
    let denied = expect(ci.post("/api/v1/ssh-keys", &body)?, 403, "writing keys without ssh-keys:write")?;
    same(&denied.body["error"]["code"], "forbidden", "the code")?;
    out.say("POST /ssh-keys without ssh-keys:write: 403, before the body is looked at");
    Ok(token)
}

/// An access key held to one namespace, traded for a session, replaced, and explained.
fn session(anyone: &Client, admin: &Client, out: &mut Narrator) -> Result<(), DemoError> {
    out.step("Access keys: what their user may, held to one place; a login gives a session");
    let place = "project/default/vcluster/ci/namespace/build";
    let wish = json!({"name": "build pipeline", "inherit": true, "scope": place});
    let key = issue(admin, "default", &wish)?;
    out.say(format_args!("{}: whatever its user may, in {place} alone", key.id));
    let login = json!({"access_key": key.plaintext});
    let session = expect(anyone.post("/api/v1/login", &login)?, 201, "a login")?;
    let client = anyone.with_token(text(&session.body["token"])?);
    expect(client.get("/api/v1/self")?, 200, "asking who one is")?;
    expect(client.get("/api/v1/ssh-keys")?, 403, "the project's keys, which lie above the namespace")?;
    out.say("POST /login with it: a session; GET /self: 200; GET /ssh-keys of the project above: 403");
    let question = format!(
        "/api/v1/explain?principal={}@{}&permission=ssh-keys:read&scope=project/default",
        key.id,
        text(&session.body["owner"])?
    );
    let why = expect(admin.get(&question)?, 200, "asking why")?;
    same(&why.body["decision"], "deny", "the decision")?;
    same(&why.body["reasons"][0]["code"], "limited_by_restriction", "the reason")?;
    out.say("GET /explain, as administrator: deny, limited_by_restriction");
    let path = format!("/api/v1/api-tokens/{}/rotate?project=default", key.id);
    expect(admin.post(&path, &json!({"overlap_seconds": 600}))?, 200, "rotating the key")?;
    expect(anyone.post("/api/v1/login", &login)?, 201, "the old secret within its overlap")?;
    let overlap = format!("/api/v1/api-tokens/{}/overlap?project=default", key.id);
    expect(admin.delete(&overlap)?, 204, "ending the overlap")?;
    expect(anyone.post("/api/v1/login", &login)?, 401, "the old secret after its overlap")?;
    out.say("rotated with an overlap of ten minutes: the old secret still logs in; the overlap ended: 401");
    Ok(())
}

fn isolation(anyone: &Client, admin: &Client, out: &mut Narrator) -> Result<(), DemoError> {
    out.step("Another project, another team");
    expect(admin.post("/api/v1/projects", &json!({"name": "shop"}))?, 201, "creating a project")?;
    let alice = created(admin.post("/api/v1/users", &json!({"name": "alice"}))?, "creating a user")?;
    let group = created(admin.post("/api/v1/groups", &json!({"name": "shop-team"}))?, "creating a group")?;
    let members = format!("/api/v1/groups/{group}/members");
    expect(admin.post(&members, &json!({"member": alice}))?, 201, "joining a group")?;
    let role = json!({"name": "key-admin", "permissions": ["ssh-keys:*", "api-tokens:*"]});
    let role = created(admin.post("/api/v1/roles", &role)?, "creating a role")?;
    let binding = json!({"role": role, "holder": group, "scope": "project/shop"});
    created(admin.post("/api/v1/bindings", &binding)?, "binding a role")?;
    out.say("project shop; user alice in group shop-team, which has the role key-admin (ssh-keys:*, api-tokens:*) there");
    let wish = json!({"name": "alice's laptop", "scopes": ["ssh-keys:*", "api-tokens:*"], "owner": alice});
    let token = issue(admin, "shop", &wish)?;
    let alice = anyone.with_token(&token.plaintext);
    let own = expect(alice.get("/api/v1/ssh-keys")?, 200, "alice's keys")?;
    if own.body["items"] != json!([]) {
        return Err(unexpected(format!("alice sees keys of another project: {}", own.body)));
    }
    out.say("alice lists the keys of shop: none; she sees nothing of default's three");
    expect(alice.get("/api/v1/ssh-keys?project=default")?, 403, "alice in another project")?;
    let elsewhere =
        expect(alice.get("/api/v1/ssh-keys?project=nowhere")?, 403, "alice in a project that is not there")?;
    same(&elsewhere.body["error"]["code"], "forbidden", "the code")?;
    out.say("project default: 403; a project that does not exist: the same 403");
    Ok(())
}

fn revocation(anyone: &Client, admin: &Client, token: &Issued, out: &mut Narrator) -> Result<(), DemoError> {
    out.step("A leaked token dies at once");
    let ci = anyone.with_token(&token.plaintext);
    expect(ci.get("/api/v1/ssh-keys")?, 200, "the token before its revocation")?;
    let path = format!("/api/v1/api-tokens/{}?project=default", token.id);
    expect(admin.delete(&path)?, 204, "revoking it")?;
    expect(ci.get("/api/v1/ssh-keys")?, 401, "the token on the very next request")?;
    out.say("DELETE /api-tokens/…: 204; the very next request with it: 401");
    Ok(())
}

fn escalation(anyone: &Client, admin: &Client, out: &mut Narrator) -> Result<(), DemoError> {
    out.step("Nobody hands out more than they hold");
    let wish = json!({"name": "token-maker", "scopes": ["api-tokens:write", "ssh-keys:read"]});
    let maker = issue(admin, "default", &wish)?;
    let maker_client = anyone.with_token(&maker.plaintext);
    let wider = json!({"name": "wider", "scopes": ["ssh-keys:write"]});
    let refused =
        expect(maker_client.post("/api/v1/api-tokens", &wider)?, 403, "a token wider than its maker")?;
    same(&refused.body["error"]["code"], "escalation", "the code")?;
    out.say("a token with ssh-keys:read asks for one with ssh-keys:write: 403 escalation");
    let child = issue(&maker_client, "default", &json!({"name": "narrower", "scopes": ["ssh-keys:read"]}))?;
    let child_client = anyone.with_token(&child.plaintext);
    expect(child_client.get("/api/v1/ssh-keys")?, 200, "the narrower token")?;
    expect(
        admin.delete(&format!("/api/v1/api-tokens/{}?project=default", maker.id))?,
        204,
        "revoking the maker",
    )?;
    expect(child_client.get("/api/v1/ssh-keys")?, 401, "a token whose maker was revoked")?;
    out.say("a narrower one: 201; it dies with the token that made it: 401");
    Ok(())
}

/// Who did what, all in all.
pub(super) fn audit(admin: &Client, out: &mut Narrator) -> Result<(), DemoError> {
    out.step("Who did what: the audit log");
    // Each node has a log of its own.
    let mut entries = Vec::new();
    for _ in 0..admin.nodes() {
        let answer = expect(admin.get("/api/v1/audit-logs?limit=500")?, 200, "the audit log")?;
        entries.extend(answer.body["items"].as_array().ok_or_else(|| unexpected("no entries"))?.clone());
    }
    let count = |outcome: &str| entries.iter().filter(|entry| entry["outcome"] == outcome).count();
    for (outcome, least) in [("allowed", 10), ("denied", 3), ("unauthenticated", 3), ("failed", 1)] {
        if count(outcome) < least {
            return Err(unexpected(format!("only {} entries are `{outcome}`", count(outcome))));
        }
    }
    out.say(format_args!(
        "{} entries: {} allowed, {} denied, {} unauthenticated, {} failed",
        entries.len(),
        count("allowed"),
        count("denied"),
        count("unauthenticated"),
        count("failed"),
    ));
    for entry in entries.iter().rev().take(4).rev() {
        out.say(format_args!(
            "{}  {:<16} {:<15} {}  {} us",
            text(&entry["started_at"])?,
            text(&entry["action"])?,
            text(&entry["outcome"])?,
            text(&entry["client"])?,
            entry["duration_us"],
        ));
    }
    Ok(())
}

/// A token the story issued.
struct Issued {
    id: String,
    plaintext: String,
}

fn issue(client: &Client, project: &str, body: &Value) -> Result<Issued, DemoError> {
    let path = format!("/api/v1/api-tokens?project={project}");
    let answer = expect(client.post(&path, body)?, 201, "issuing a token")?;
    Ok(Issued {
        id: text(&answer.body["id"])?.to_owned(),
        plaintext: text(&answer.body["token"])?.to_owned(),
    })
}

fn upload(client: &Client, key: &DemoKey) -> Result<Answer, DemoError> {
    let body = json!({"name": key.label, "public_key": key.public_line});
    Ok(client.post("/api/v1/ssh-keys?project=default", &body)?)
}

fn created(answer: Answer, what: &str) -> Result<String, DemoError> {
    text(&expect(answer, 201, what)?.body["id"]).map(str::to_owned)
}

pub(super) fn expect(answer: Answer, status: u16, what: &str) -> Result<Answer, DemoError> {
    if answer.status == status {
        Ok(answer)
    } else {
        Err(unexpected(format!("{what}: expected {status}, got {} {}", answer.status, answer.body)))
    }
}

pub(super) fn same(found: &Value, expected: &str, what: &str) -> Result<(), DemoError> {
    if found == expected {
        Ok(())
    } else {
        Err(unexpected(format!("{what}: expected {expected}, got {found}")))
    }
}

pub(super) fn text(value: &Value) -> Result<&str, DemoError> {
    value.as_str().ok_or_else(|| unexpected(format!("expected a text, got {value}")))
}
