use proptest::prelude::*;
use sekisho_catalog::Impact;

use super::*;
use crate::client::{self, Client, Mark};
use crate::id::ClientId;
use crate::redirect::{AppSchemes, Redirect, RedirectUri};

const HARMLESS: &str = "x";
const LANGUAGES: [Language; 2] = [Language::English, Language::Japanese];

/// The tags of a page with the names of their attributes, but nothing that is between them or quoted.
fn tags(page: &str) -> Vec<String> {
    let (mut found, mut tag, mut is_quoted) = (Vec::new(), None::<String>, false);
    for char in page.chars() {
        match (&mut tag, char) {
            (None, '<') => tag = Some(String::new()),
            (None, _) => assert!(!"\"'>".contains(char), "{char} in text"),
            (Some(_), '"') => is_quoted = !is_quoted,
            (Some(_), '>') if !is_quoted => found.extend(tag.take()),
            (Some(_), char) if is_quoted => assert!(!"<>'".contains(char), "{char} in a value"),
            (Some(inside), char) => inside.push(char),
        }
    }
    assert_eq!((tag, is_quoted), (None, false));
    found
}

fn named(id: ClientId, name: &str) -> Client {
    let uri = |text| RedirectUri::parse(text, &AppSchemes::default()).unwrap();
    Client::of(id, name, vec![uri("https://app.example/cb"), uri("http://127.0.0.1/cb")]).unwrap()
}

/// A page of consent on which every text is `text`.
fn asked(client: &Client, redirect: Option<&Redirect>, text: &str, language: Language) -> String {
    let group = |impact, scope, is_ticked| Group {
        impact,
        scope,
        tools: vec![Item { name: text, title: text }, Item { name: text, title: text }],
        is_ticked,
    };
    consent(&Consent {
        language,
        client,
        redirect,
        server_title: text,
        endpoint: text,
        groups: &[
            group(Impact::Read, "tools:read", true),
            group(Impact::Write, "tools:write", false),
            Group { impact: Impact::Destructive, scope: "tools:destructive", tools: vec![], is_ticked: false },
        ],
        other_scopes: &[text, text],
        days: &[30, 1],
        user: Some(text),
        provider_host: text,
        device: Some(text),
        csrf: text,
        flow: text,
    })
}

/// All pages, with `text` wherever somebody else's text may be.
fn pages(text: &str, client: &Client, language: Language) -> Vec<String> {
    let words = Words { title: "Title", why: "Why", help: "Help" };
    let listed = Listed {
        id: text,
        client: text,
        name: text,
        goes_to: text,
        server: text,
        scopes: vec![text, text],
        since: text,
        until: text,
    };
    vec![
        asked(client, None, text, language),
        problem(words, text, text, language),
        on_the_way(text, text, language),
        consents(text, &[listed.clone(), listed], text, language),
        consents(text, &[], text, language),
        device(language),
        told(Told::Denied, language),
        told(Told::DeviceAccepted, language),
        told(Told::SignedOut, language),
    ]
}

fn is_as_harmless(text: &str) {
    let of = |name: &str| named(ClientId::Configured("app".into()), name);
    let client = of(&format!("n{text}"));
    // What is hidden in a name is warned of: there is one more line then.
    let harmless = if client.marks().is_empty() { of("n") } else { of("n\u{202e}n") };
    assert_eq!(client.marks(), harmless.marks());
    for language in LANGUAGES {
        for (page, other) in pages(text, &client, language).iter().zip(pages(HARMLESS, &harmless, language)) {
            assert_eq!(tags(page), tags(&other), "{text:?}");
            assert_eq!(sekisho_wire::text::hidden(page).next(), None, "{text:?}");
        }
    }
}

#[test]
fn no_text_becomes_markup() {
    for text in [
        "",
        "<script>alert(1)</script>",
        "</bdi></p><h1>Allow</h1>",
        "\" onmouseover=\"alert(1)\" x=\"",
        "' autofocus onfocus='alert(1)",
        "\"><input type=checkbox checked name=scope value=all>",
        "--><!-- ]]> <![CDATA[",
        "&lt;script&gt; &#60; &amp",
        "</title><script>",
        "a\0b\u{202e}c\u{2066}d\u{feff}e\u{1b}[31m\r\n\u{85}\u{2028}",
        "javascript:alert(1)",
        "{} {}",
    ] {
        is_as_harmless(text);
    }
    is_as_harmless(&"<\"'&>".repeat(2000));
    is_as_harmless(&"a".repeat(10_000));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_text_at_all_becomes_markup(text in any::<String>(), markup in "[<>\"'&=/ a-z\\x00-\\x1f]{0,40}") {
        is_as_harmless(&text);
        is_as_harmless(&markup);
    }
}

#[test]
fn tags_are_told_from_what_is_between_them() {
    assert_eq!(tags("<p class=\"a\">x</p>"), ["p class=", "/p"]);
    assert_ne!(tags("<p>x</p>"), tags("<p><b>x</b></p>"));
    assert_ne!(tags("<p a=\"\">"), tags("<p a=\"\" b=\"\">"));
}

#[test]
fn only_what_is_to_be_ticked_is_ticked() {
    let client = client::tests::client(r#"["https://app.example/cb"]"#);
    let page = asked(&client, None, "other", Language::English);
    assert_eq!(page.matches("checked").count(), 1);
    assert!(page.contains(r#"name="scope" value="tools:read" checked="""#));
    for scope in ["tools:write", "tools:destructive", "other"] {
        assert!(page.contains(&format!(r#"name="scope" value="{scope}">"#)), "{scope}");
    }
    assert!(page.contains(r#"<option value="30" selected="">30 days</option><option value="1">1 day</option>"#));
    assert!(page.contains("No tool of this kind at the moment."));
    let (deny, allow) = (page.find(r#"value="deny""#).unwrap(), page.find(r#"value="allow""#).unwrap());
    assert!(deny < allow, "what is sent without a choice denies");
}

#[test]
fn a_name_stands_beside_whoever_vouches_for_it() {
    let shown = |client: &Client| asked(client, None, HARMLESS, Language::English);
    let by_host = shown(&client::tests::client(r#"["https://app.example/cb"]"#));
    assert!(by_host.contains(r#"<bdi>App</bdi></p><p class="vouched good">verified: <bdi>app.example</bdi>"#));
    let by_nobody = shown(&named(ClientId::Registered("r".into()), "App"));
    assert!(by_nobody.contains(r#"<bdi>App</bdi></p><p class="vouched bad">not verified: it registered itself"#));
    assert!(!by_nobody.contains("verified: <bdi>"));
    let by_administrator = shown(&named(ClientId::Configured("c".into()), "App"));
    assert!(by_administrator.contains(r#"<bdi>App</bdi></p><p class="vouched good">set up by your administrator"#));
}

#[test]
fn marks_are_warnings() {
    let begins = texts::warning(Mark::NameLooksLikeAnotherHost).to(Language::English);
    let shown = |name| asked(&named(ClientId::Registered("r".into()), name), None, HARMLESS, Language::English);
    assert!(shown("claude.ai").contains(begins));
    assert!(!shown("Claude").contains("warnings"));
}

#[test]
fn where_the_answer_goes_is_shown() {
    let apps = AppSchemes::new(["cursor"]).unwrap();
    let uris = ["https://app.example/cb", "http://127.0.0.1/cb", "cursor://cb"];
    let uris: Vec<RedirectUri> = uris.map(|uri| RedirectUri::parse(uri, &apps).unwrap()).into();
    let client = Client::of(ClientId::Configured("c".into()), "App", uris).unwrap();
    let shown = |uri: &str| {
        let redirect = client.redirect(Some(uri), &apps).unwrap();
        asked(&client, Some(&redirect), HARMLESS, Language::English)
    };
    assert!(shown("https://app.example/cb").contains("given to <bdi>app.example</bdi>"));
    assert!(shown("http://127.0.0.1:4000/cb").contains("a program on this computer"));
    assert!(shown("cursor://cb").contains("<bdi>cursor:</bdi>"));
    let device = asked(&client, None, "WXYZ", Language::English);
    assert!(device.contains("given to your device") && device.contains("<bdi>WXYZ</bdi>"));
    assert!(device.contains("only if this code is on the screen of the device you hold"));
}

#[test]
fn pages_are_whole_and_in_their_language() {
    let client = named(ClientId::Registered("r".into()), "App");
    let [english, japanese] = LANGUAGES.map(|language| pages(HARMLESS, &client, language));
    for (index, (english, japanese)) in english.iter().zip(&japanese).enumerate() {
        assert!(english.contains(r#"<html lang="en">"#) && japanese.contains(r#"<html lang="ja">"#));
        assert_eq!(tags(english).len(), tags(japanese).len());
        assert_ne!(english.replace("lang=\"en\"", ""), japanese.replace("lang=\"ja\"", ""), "{index}");
        let latin = english.replace("関所", "");
        assert!(latin.is_ascii(), "{index}");
        for page in [english, japanese] {
            for once in ["<h1>", "<main>", "<title>", "name=\"viewport\"", "href=\"/oauth/style.css\""] {
                assert_eq!(page.matches(once).count(), 1, "{once}");
            }
            assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("style="));
            assert!(!tags(page).iter().any(|tag| tag.contains(" on")));
        }
    }
}

#[test]
fn a_page_on_the_way_leads_on_with_and_without_waiting() {
    let page = on_the_way("https://idp.example/a?b=c&d='e", "idp.example", Language::English);
    assert!(page.contains(r#"http-equiv="refresh" content="0;url=https://idp.example/a?b=c&amp;d=&#39;e""#));
    assert!(
        page.contains(r#"href="https://idp.example/a?b=c&amp;d=&#39;e""#) && page.contains("<bdi>idp.example</bdi>")
    );
    assert!(!told(Told::Denied, Language::English).contains("http-equiv"));
}

#[test]
fn a_consent_can_be_revoked_and_a_user_can_sign_out() {
    let one = Listed {
        id: "c1",
        client: "https://app.example/client",
        name: "App",
        goes_to: "app.example",
        server: "Files",
        scopes: vec![],
        since: "2025-01-01",
        until: "2025-02-01",
    };
    let page = consents("ann", &[one], "token", Language::English);
    let form = r#"<form method="post" action="/oauth/consents/revoke"><input type="hidden" name="csrf" value="token"><input type="hidden" name="id" value="c1">"#;
    assert!(page.contains(form));
    let out = r#"<form method="post" action="/oauth/logout"><input type="hidden" name="csrf" value="token">"#;
    assert!(page.contains(out));
    let none = consents("ann", &[], "token", Language::English);
    assert!(none.contains("No application may act for you.") && none.contains(out) && !none.contains("revoke"));
}

#[test]
fn the_language_is_the_one_that_is_liked_best() {
    let preferred = |header| Language::preferred(Some(header));
    assert_eq!(Language::preferred(None), Language::English);
    for japanese in
        ["ja", "JA-jp", "fr, ja;q=0.2", "en;q=0.8, ja;q=0.9", "ja, en", "en;q=0, ja;q=0.1", "en;q=x, ja;q=0.1"]
    {
        assert_eq!(preferred(japanese), Language::Japanese, "{japanese}");
    }
    for english in
        ["", "fr", "jav", "en, ja", "ja;q=0.8, en;q=0.9", "ja;q=0", "ja;q=NaN", "ja;q=2", "*, ja;q=0.5", ";;,=,"]
    {
        assert_eq!(preferred(english), Language::English, "{english}");
    }
}

#[test]
fn headers_let_nothing_run_and_nobody_frame() {
    let headers = headers();
    let of = |name: &str| headers.iter().find(|(other, _)| *other == name).unwrap().1;
    let policy = of("Content-Security-Policy");
    assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("script") && !policy.contains("unsafe"));
    assert_eq!((of("X-Frame-Options"), of("Cache-Control")), ("DENY", "no-store"));
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}
