//! The pages, in a real browser without scripts, driven by its keyboard.
//!
//! Chromium is spoken to over the pipe of its DevTools protocol (`--remote-debugging-pipe`): JSON, ended by NUL.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Server;

#[test]
fn the_audit_log_is_a_page_for_people_who_log_in_with_an_access_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let admin = server.admin();
    for _ in 0..60 {
        assert_eq!(admin.get("/api/v1/audit-logs?limit=1").0, 200);
    }
    // Strangers may write what they like into a path.
    assert_eq!(server.client(None).get("/api/v1/ssh-keys/%3Cscript%3Ealert(1)%3C%2Fscript%3E%22'").0, 401);
    let mut browser = Browser::start(folder.path());

    let page = browser.open(&format!("{}/portal/audit-logs", server.base));
    assert!(page.contains("<h1>Log in</h1>"), "who is not known is sent to the login: {page}");
    browser.enter("not an access key");
    let page = browser.page();
    assert!(page.contains("role=\"alert\""), "{page}");
    browser.enter(server.admin_token.as_deref().unwrap());
    let page = browser.page();
    assert!(page.contains("<h1>Audit log</h1>") && page.contains("<html lang=\"en\">"), "{page}");
    assert_eq!(page.matches("<th scope=\"row\">").count(), 50);
    assert!(!page.contains("<script"), "{page}");
    let cookies = browser.call("Network.getCookies", &json!({"urls": [format!("{}/", server.base)]}));
    let cookie = &cookies["cookies"][0];
    assert_eq!(cookie["name"], "__Host-palisade-session");
    let flags = [&cookie["httpOnly"], &cookie["secure"], &cookie["sameSite"]];
    assert_eq!(flags, [&json!(true), &json!(true), &json!("Strict")]);

    // What a screen reader is told.
    let told = browser.accessible_names();
    let has = |role: &str, name: &str| told.iter().any(|known| known == &(role.to_owned(), name.to_owned()));
    for label in ["Actor", "Action", "Scope", "Request", "From", "Until"] {
        assert!(has("textbox", label), "{label}: {told:?}");
    }
    assert!(has("combobox", "Outcome") && has("button", "Filter") && has("link", "Older"), "{told:?}");
    assert!(has("heading", "Audit log") && has("columnheader", "Outcome"), "{told:?}");
    assert!(told.iter().any(|(role, _)| role == "main") && told.iter().any(|(role, _)| role == "navigation"));
    browser.press("Tab", 9, "");
    assert_eq!(browser.focused(), "Skip to the content", "the first stop of the keyboard");

    // On by the keyboard: the link to the older entries.
    let older = page
        .split("<a rel=\"next\" href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&amp;", "&");
    let first_page = sequences(&page);
    let page = browser.open(&format!("{}{older}", server.base));
    let second_page = sequences(&page);
    assert!(!second_page.is_empty() && second_page.iter().max() < first_page.iter().min(), "nothing twice");

    // Filters; and what a stranger wrote is text.
    let page =
        browser.open(&format!("{}/portal/audit-logs?outcome=unauthenticated&action=ssh-keys:*", server.base));
    assert_eq!(page.matches("<th scope=\"row\">").count(), 1, "{page}");
    assert!(page.contains("script") && !page.contains("<script"), "{page}");
    assert!(
        page.contains("<option selected=\"\">unauthenticated</option>"),
        "the form shows what was asked: {page}"
    );
    let page = browser.open(&format!("{}/portal/audit-logs?outcome=%22%3E%3Cb%3E", server.base));
    assert!(page.contains("role=\"alert\"") && !page.contains("<b>"), "{page}");

    // The proof of an entry, checked without the log.
    assert!(page.contains("role=\"alert\""));
    let added = admin.post("/api/v1/projects", &json!({"name": "proven"}));
    assert_eq!(added.0, 201);
    let (_, log) = admin.get("/api/v1/audit-logs?action=projects:write");
    let sequence = log["items"][0]["sequence"].as_u64().unwrap();
    let page = browser.open(&format!("{}/portal/audit-logs?action=projects:write", server.base));
    let link = format!("/portal/audit-logs/{sequence}/receipt");
    assert!(page.contains(&format!("href=\"{link}\"")), "{page}");
    let receipt = format!("{}/api/v1/audit-logs/{sequence}/receipt", server.base);
    let mut receipt = ureq::get(receipt)
        .header("authorization", format!("Bearer {}", server.admin_token.as_deref().unwrap()))
        .call()
        .unwrap();
    let receipt = receipt.body_mut().read_to_string().unwrap();
    let key = std::fs::read_to_string(folder.path().join("audit/proofs/key")).unwrap();
    let verify = ["audit", "verify", "--receipt", "-", "--key", key.trim()];
    let (exit, printed, said) = support::palisade(&verify, receipt.as_bytes());
    assert_eq!(exit, 0, "{printed}{said}");
    assert!(printed.contains("projects:write"), "{printed}");

    // Reading is recorded.
    let (_, log) = admin.get("/api/v1/audit-logs?action=audit-logs:read&limit=1000");
    let read =
        log["items"].as_array().unwrap().iter().filter(|entry| entry["resource"] == "/portal/audit-logs");
    assert!(read.count() >= 4);
}

#[test]
fn a_page_is_not_for_other_sites_and_its_cookie_not_for_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let token = server.admin_token.clone().unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into();
    let log_in = |site: &str| {
        let request = agent.post(format!("{}/portal/login", server.base)).header("sec-fetch-site", site);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.send(format!("access_key={token}")).unwrap()
    };
    assert_eq!(log_in("cross-site").status(), 422);
    assert_eq!(log_in("same-site").status(), 422);
    let answer = log_in("same-origin");
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()["location"], "/portal/audit-logs");
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let get = |path: &str, cookies: &[&str]| {
        let request = agent.get(format!("{}{path}", server.base));
        cookies.iter().fold(request, |request, cookie| request.header("cookie", *cookie)).call().unwrap()
    };
    let page = get("/portal/audit-logs", &[&cookie]);
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; form-action 'self'"), "{policy}");
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert_eq!(get("/portal/audit-logs", &[&cookie, &cookie]).status(), 303, "which of the two?");
    assert_eq!(get("/api/v1/audit-logs", &[&cookie]).status(), 401, "no call of the API is made by a cookie");
    let logged_out =
        agent.post(format!("{}/portal/logout", server.base)).header("cookie", &cookie).send_empty().unwrap();
    assert_eq!(logged_out.status(), 303);
    assert!(logged_out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(get("/portal/audit-logs", &[&cookie]).status(), 303, "the session is over");
}

#[test]
fn exports_are_json_lines_and_csv_without_formulas() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let admin = server.admin_token.clone().unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let get = |path: &str, user_agent: &str| {
        let request = agent.get(format!("{}{path}", server.base)).header("user-agent", user_agent);
        let mut answer = request.header("authorization", format!("Bearer {admin}")).call().unwrap();
        let next = answer.headers().get("x-next").map(|next| next.to_str().unwrap().to_owned());
        let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.body_mut().read_to_string().unwrap(), content_type, next)
    };
    get("/api/v1/audit-logs", "=HYPERLINK(\"http://evil\",\"x\")");
    let (csv, content_type, next) = get("/api/v1/audit-logs?format=csv", "test");
    assert!(content_type.starts_with("text/csv"), "{content_type}");
    assert_eq!(next, None);
    assert!(csv.starts_with("\"sequence\",\"begun\","), "{csv}");
    assert!(csv.contains(r#","'=HYPERLINK(""http://evil"",""x"")","#), "{csv}");
    let mut lines = String::new();
    let mut after = "after-0".to_owned();
    loop {
        let (page, _, next) = get(&format!("/api/v1/audit-logs?format=jsonl&limit=2&after={after}"), "test");
        lines.push_str(&page);
        let Some(next) = next else { break };
        if lines.lines().count() > 6 {
            break;
        }
        after = next;
    }
    let found: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap())
        .collect();
    assert!(found.len() >= 6 && found.is_sorted_by(|a, b| a < b), "{found:?}");
    assert_eq!(get("/api/v1/audit-logs?format=xml", "test").1, "application/json");
}

fn sequences(page: &str) -> Vec<u64> {
    page.split("<th scope=\"row\">")
        .skip(1)
        .map(|row| row.split('<').next().unwrap().parse().unwrap())
        .collect()
}

/// A headless Chromium with one page, killed when dropped.
struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    session: Option<String>,
    calls: u64,
}

impl Browser {
    fn start(folder: &std::path::Path) -> Self {
        let pipes = ["browser-in", "browser-out"].map(|name| folder.join(name));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        let command = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                       --disable-background-networking --user-data-dir=\"$3\" --remote-debugging-pipe about:blank \
                       3<\"$1\" 4>\"$2\"";
        let child = Command::new("sh")
            .args(["-c", command, "sh"])
            .args(&pipes)
            .arg(folder.join("browser"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        assert!(
            Command::new("sh")
                .args(["-c", "command -v chromium"])
                .stdout(Stdio::null())
                .status()
                .unwrap()
                .success(),
            "this test needs the program `chromium` (Debian package chromium)"
        );
        let to = OpenOptions::new().write(true).open(&pipes[0]).unwrap();
        let mut out = BufReader::new(File::open(&pipes[1]).unwrap());
        let (sender, from) = mpsc::channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while out.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { break };
                if sender.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self { child, to, from, session: None, calls: 0 };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        browser.call("Page.enable", &json!({}));
        browser.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
        browser
    }

    /// One command and its result.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        let id = self.calls;
        let answer = self.wait_for(method, |message| message["id"] == id);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.from.recv_timeout(BROWSER_TIMEOUT);
            let message = message.unwrap_or_else(|error| panic!("waiting for {what}: {error}"));
            if is_it(&message) {
                return message;
            }
        }
    }

    fn loaded(&self) {
        self.wait_for("a page", |message| message["method"] == "Page.loadEventFired");
    }

    /// Goes to a page and returns its HTML as the browser understood it.
    fn open(&mut self, url: &str) -> String {
        self.call("Page.navigate", &json!({"url": url}));
        self.loaded();
        self.page()
    }

    fn page(&mut self) -> String {
        let root = self.call("DOM.getDocument", &json!({}));
        let html = self.call("DOM.getOuterHTML", &json!({"nodeId": root["root"]["nodeId"]}));
        html["outerHTML"].as_str().unwrap().to_owned()
    }

    fn press(&mut self, key: &str, code: u8, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if !text.is_empty() && kind == "keyDown" {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Types into the field that has the focus, and presses Enter.
    fn enter(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
        let enter = json!({"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
        self.call("Input.dispatchKeyEvent", &enter);
        self.loaded();
    }

    /// Roles and names, as assistive technology gets them.
    fn accessible_names(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        tree["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| (text(&node["role"]), text(&node["name"])))
            .collect()
    }

    /// The name of what has the focus.
    fn focused(&mut self) -> String {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let focused = tree["nodes"].as_array().unwrap().iter().rfind(|node| {
            let has_focus =
                |property: &Value| property["name"] == "focused" && property["value"]["value"] == true;
            node["role"]["value"] == "link"
                && node["properties"].as_array().is_some_and(|properties| properties.iter().any(has_focus))
        });
        focused.map_or_else(String::new, |node| node["name"]["value"].as_str().unwrap_or_default().to_owned())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const BROWSER_TIMEOUT: Duration = Duration::from_secs(60);
