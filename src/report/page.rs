//! What a report says, apart from how it is written down: the same page becomes text for a terminal and Markdown.

use anstyle::{Effects, Style};

use super::markdown::markdown;
use super::table::{self, Table};
use crate::text::{Shown, escape as visible};

/// Blocks from top to bottom. Whatever they say may come from an image: control characters are made visible.
#[derive(Debug, Default)]
pub struct Page {
    blocks: Vec<Block>,
}

#[derive(Debug)]
enum Block {
    Title(String),
    Line(String),
    Paragraph(String),
    Heading(String),
    Note(String),
    List(Vec<String>),
    Code(Vec<String>),
    Table(Table),
}

/// The most items of a list in Markdown: a page with a summary of a job takes a megabyte at most.
const MOST_ITEMS: usize = 100;

const STRONG: Style = Style::new().effects(Effects::BOLD);

impl Page {
    /// What the report is about, in its first line.
    pub(super) fn new(title: impl Into<String>) -> Page {
        Page { blocks: vec![Block::Title(title.into())] }
    }

    /// A line right below what stands above it.
    pub(super) fn line(&mut self, text: impl Into<String>) -> &mut Page {
        self.push(Block::Line(text.into()))
    }

    /// A line apart.
    pub(super) fn paragraph(&mut self, text: impl Into<String>) -> &mut Page {
        self.push(Block::Paragraph(text.into()))
    }

    /// What the next list or table is about.
    pub(super) fn heading(&mut self, text: impl Into<String>) -> &mut Page {
        self.push(Block::Heading(text.into()))
    }

    /// What there is to say about the table above.
    pub(super) fn note(&mut self, text: impl Into<String>) -> &mut Page {
        self.push(Block::Note(text.into()))
    }

    /// A list.
    pub(super) fn list(&mut self, items: Vec<String>) -> &mut Page {
        self.push(Block::List(items))
    }

    /// Lines of YAML, to be copied.
    pub(super) fn code(&mut self, lines: Vec<String>) -> &mut Page {
        self.push(Block::Code(lines))
    }

    /// A table.
    pub(super) fn table(&mut self, table: Table) -> &mut Page {
        self.push(Block::Table(table))
    }

    fn push(&mut self, block: Block) -> &mut Page {
        self.blocks.push(block);
        self
    }

    /// For a terminal, with styles; they have to be taken out for anything else.
    pub(super) fn to_text(&self) -> Shown {
        let mut text = String::new();
        let mut below_heading = false;
        for block in &self.blocks {
            let heading = matches!(block, Block::Heading(_));
            if (heading || matches!(block, Block::Table(_) | Block::Paragraph(_))) && !below_heading {
                text.push('\n');
            }
            below_heading = heading;
            match block {
                Block::Title(line) => text += &format!("{STRONG}{}{STRONG:#}\n", visible(line)),
                Block::Line(line) | Block::Paragraph(line) => text += &format!("{}\n", visible(line)),
                Block::Heading(line) => text += &format!("{STRONG}{}:{STRONG:#}\n", visible(line)),
                Block::Note(line) => text += &format!("  {}\n", visible(line)),
                Block::List(items) | Block::Code(items) => {
                    items.iter().for_each(|item| text += &format!("  {}\n", visible(item)))
                }
                Block::Table(table) => text += &table::text(table),
            }
        }
        Shown::of_escaped(text)
    }

    /// For a page that is read in a browser, such as the summary of a CI job.
    pub(super) fn to_markdown(&self) -> Shown {
        let mut text = String::new();
        for block in &self.blocks {
            match block {
                Block::Title(line) => text += &format!("## {}\n", markdown(line)),
                Block::Heading(line) => text += &format!("### {}\n", markdown(line)),
                Block::Line(line) | Block::Paragraph(line) | Block::Note(line) => {
                    text += &format!("{}\n", markdown(line))
                }
                Block::List(items) => {
                    items.iter().take(MOST_ITEMS).for_each(|item| text += &format!("- {}\n", markdown(item)));
                    if items.len() > MOST_ITEMS {
                        text += &format!("- and {} more\n", items.len() - MOST_ITEMS);
                    }
                }
                Block::Code(lines) => {
                    text += "```yaml\n";
                    lines.iter().for_each(|line| text += &format!("{}\n", visible(line)));
                    text += "```\n";
                }
                Block::Table(table) => text += &table::markdown(table),
            }
            text.push('\n');
        }
        text.pop();
        Shown::of_escaped(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut page = Page::new("an image");
        page.line("with a line");
        let mut table = Table::new(&["name", "size"], &[1]);
        table.row(["a|b".to_owned(), "1 B".to_owned()]);
        table.row(["longer\u{1b}[31m".to_owned(), "10 B".to_owned()]);
        page.table(table).note("a note");
        page.heading("A list")
            .list(vec![r"Windows\*_x".to_owned()])
            .code(vec!["os: windows".to_owned()])
            .paragraph("The end.");
        page
    }

    #[test]
    fn a_page_becomes_text() {
        let text = anstream::adapter::strip_str(&page().to_text()).to_string();
        assert_eq!(
            text,
            "an image\nwith a line\n\n  name              size\n  a|b                1 B\n  longer\\u{1b}[31m  10 B\n  \
             a note\n\nA list:\n  Windows\\*_x\n  os: windows\n\nThe end.\n"
        );
    }

    #[test]
    fn a_page_becomes_markdown() {
        assert_eq!(
            &*page().to_markdown(),
            "## an image\n\nwith a line\n\n| name | size |\n| --- | ---: |\n| a\\|b | 1 B |\n| longer\\\\u{1b}\\[31m | 10 B |\n\na note\n\n\
             ### A list\n\n- Windows\\\\\\*\\_x\n\n```yaml\nos: windows\n```\n\nThe end.\n"
        );
    }
}
