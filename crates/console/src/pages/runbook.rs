//! A runbook: Markdown as HTML. Markup within it is text, and links lead to pages only.

use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag};

pub(crate) fn body(text: &str) -> Markup {
    html! {
        p.crumbs { a href="/" { "Objectives" } " / runbook" }
        article.prose { (PreEscaped(rendered(text))) }
    }
}

fn rendered(text: &str) -> String {
    let said = |event: &Event<'_>| !matches!(event, Event::Html(markup) if is_comment(markup));
    let events =
        Parser::new_ext(text, Options::ENABLE_TABLES).filter(said).map(|event| match event {
            Event::Html(markup) | Event::InlineHtml(markup) => Event::Text(markup),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                Event::Start(Tag::Link { link_type, dest_url: harmless(dest_url), title, id })
            }
            // An image would be asked for elsewhere.
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                Event::Start(Tag::Link { link_type, dest_url: harmless(dest_url), title, id })
            }
            Event::End(pulldown_cmark::TagEnd::Image) => Event::End(pulldown_cmark::TagEnd::Link),
            event => event,
        });
    let mut page = String::with_capacity(text.len() * 2);
    pulldown_cmark::html::push_html(&mut page, events);
    page
}

/// A note for whoever reads the file.
fn is_comment(markup: &str) -> bool {
    let markup = markup.trim();
    markup.starts_with("<!--") && markup.find("-->") == Some(markup.len() - 3)
}

fn harmless(url: CowStr<'_>) -> CowStr<'_> {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    match scheme {
        None | Some("http" | "https") => url,
        Some(scheme) if scheme.contains(['/', '#', '?']) => url,
        Some(_) => CowStr::Borrowed("#"),
    }
}

#[cfg(test)]
mod tests {
    use super::rendered;

    #[test]
    fn markup_is_text_and_links_run_nothing() {
        let page = rendered(
            "# A <script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n\
             [a](javascript:alert(1)) [b](/slo/a) [c](JaVaScRiPt:alert(1)) ![d](http://evil/x.png)",
        );
        for dangerous in ["<script", "<img", "javascript:", "JaVaScRiPt:"] {
            assert!(!page.contains(dangerous), "{page}");
        }
        assert!(page.contains("<a href=\"/slo/a\">b</a>"), "{page}");
        assert_eq!(rendered("<!-- a note -->\n"), "");
        assert!(!rendered("<!-- a --><script>b</script><!-- c -->\n").contains("<script"));
        assert!(page.contains("<a href=\"http://evil/x.png\">d</a>"), "{page}");
    }
}
