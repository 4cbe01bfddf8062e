//! Pages for people: HTML without scripts, in which everything that comes from elsewhere is escaped.

use std::fmt;

use audit_log::event::Escaped;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::api_error::ApiError;

/// The page at which people log in.
pub(crate) const LOGIN: &str = "/portal/login";

/// Text as HTML shows it (HTML 13.1.2): nothing in it is markup, and nothing misleads the eye.
pub(crate) struct Html<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Html<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped::new(&self.0.to_string()).to_string().chars().try_for_each(|symbol| match symbol {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            symbol => fmt::Write::write_char(f, symbol),
        })
    }
}

/// A whole page; `main` is HTML.
pub(crate) fn page(title: &str, main: &str) -> String {
    let title = Html(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} - Palisade</title>\n<link rel=\"stylesheet\" href=\"/portal/style.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>\n<main id=\"main\" tabindex=\"-1\">\n\
         <h1>{title}</h1>\n{main}</main>\n</body>\n</html>\n"
    )
}

/// What keeps a page from being anything else: no scripts, no frames, nothing from elsewhere, no copy kept.
pub(crate) fn headers() -> [(HeaderName, HeaderValue); 4] {
    let csp =
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(csp)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}

/// The form at which people log in; `alert` says what went wrong before.
pub(crate) fn login_page(alert: Option<&str>) -> String {
    let alert = alert.map_or_else(String::new, |alert| format!("<p role=\"alert\">{}</p>\n", Html(alert)));
    let form = format!(
        "{alert}<form method=\"post\" action=\"{LOGIN}\">\n\
         <p><label for=\"access_key\">Access key</label>\n\
         <input id=\"access_key\" name=\"access_key\" type=\"password\" required autocomplete=\"off\" autofocus></p>\n\
         <p><button type=\"submit\">Log in</button></p>\n</form>\n"
    );
    page("Log in", &form)
}

/// An error as a page: who is not known goes to the login, or stays there.
pub(crate) fn error_page(error: &ApiError, path: &str, request_id: &str) -> Response {
    let status = error.status();
    if status == StatusCode::UNAUTHORIZED && path != LOGIN {
        return (StatusCode::SEE_OTHER, headers(), [(header::LOCATION, LOGIN)]).into_response();
    }
    let html = if path == LOGIN {
        login_page(Some("That access key is not valid."))
    } else {
        let id = Html(request_id);
        let main = format!(
            "<p role=\"alert\">{}</p>\n<p>Request <code>{id}</code></p>\n<p><a href=\"/portal/audit-logs\">Audit log</a></p>\n",
            Html(error.message())
        );
        page("This did not work", &main)
    };
    (status, headers(), axum::response::Html(html)).into_response()
}

/// What pages look like.
pub(crate) const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 80rem; padding: 0 1rem; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 1rem; background: Canvas; padding: .5rem; }
label { display: block; font-weight: 600; }
.filters { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; }
.filters p { margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; }
th, td { border-bottom: 1px solid GrayText; padding: .25rem .5rem; text-align: left; vertical-align: top; }
:focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
nav a { margin-right: 1rem; }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        let shown = Html("<script>\"'&\u{202e}\n").to_string();
        assert_eq!(shown, r"&lt;script&gt;&quot;&#39;&amp;\u{202e}\u{a}");
    }
}
