//! Checks the links between this repository's Markdown pages: each leads to a file or folder that is there, and a `#part`
//! to a heading of it. Links to other sites are left alone: checks need no network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Folders that are not written by hand.
const SKIPPED: [&str; 3] = ["target", "node_modules", ".git"];

/// Fails if a link of any page below `root` leads nowhere, and names each.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut broken = Vec::new();
    for page in pages(root)? {
        let text = read(&page)?;
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            if !leads_somewhere(&page, &text, link)? {
                broken.push(format!("{}: `{link}`", page.strip_prefix(root).unwrap_or(&page).display()));
            }
        }
    }
    ensure!(broken.is_empty(), "links that lead nowhere:\n  {}", broken.join("\n  "));
    Ok(())
}

fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            found.extend(pages(&path)?);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    Ok(found)
}

fn read(page: &Path) -> Result<String> {
    fs::read_to_string(page).with_context(|| format!("cannot read `{}`", page.display()))
}

fn leads_somewhere(page: &Path, text: &str, link: &str) -> Result<bool> {
    let (file, part) = link.split_once('#').map_or((link, None), |(file, part)| (file, Some(part)));
    let target = page.with_file_name(file);
    match part {
        None => Ok(target.exists()),
        Some(part) if file.is_empty() => Ok(has_heading(text, part)),
        Some(part) => Ok(target.is_file() && has_heading(&read(&target)?, part)),
    }
}

/// The lines that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where the page's links lead: what stands in `](...)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)))
}

fn has_heading(text: &str, part: &str) -> bool {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim())).any(|slug| slug == part)
}

/// The name that the usual renderers give a heading.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_are_no_links() {
        let text = "[a](b.md) and [c](d#e)\n```\n[x](y)\n```\n![z](w.png)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["b.md", "d#e", "w.png"]);
    }

    #[test]
    fn a_heading_is_found_by_its_usual_name() {
        let text = "# A page\n## `[tenant.NAME]`\n```\n# not a heading\n```";
        assert!(has_heading(text, "a-page"));
        assert!(has_heading(text, "tenantname"));
        assert!(!has_heading(text, "not-a-heading"));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let page = |name, text| fs::write(folder.path().join(name), text).unwrap();
        page("a.md", "# Here\n[b](b.md#there) [self](#here) [site](https://example.com)");
        page("b.md", "# There");
        check(folder.path()).unwrap();
        page("b.md", "# Elsewhere\n[gone](gone.md)");
        let error = check(folder.path()).unwrap_err().to_string();
        assert!(error.contains("a.md: `b.md#there`") && error.contains("b.md: `gone.md`"), "{error}");
    }
}
