package openapi

import (
	"bytes"
	"html/template"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
)

// markdown renders the descriptions, which are CommonMark. Headings get an id of their
// words, and HTML in them is left out.
type markdown struct{ goldmark.Markdown }

func newMarkdown() markdown {
	return markdown{goldmark.New(
		goldmark.WithExtensions(extension.Table),
		goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	)}
}

// block renders text of paragraphs.
func (m markdown) block(text string) (template.HTML, error) {
	var b bytes.Buffer
	if err := m.Convert([]byte(text), &b); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil //nolint:gosec // made of the project's own document
}

// inline renders text of one paragraph, without the paragraph.
func (m markdown) inline(text string) (template.HTML, error) {
	html, err := m.block(text)
	s := strings.TrimSuffix(strings.TrimSpace(string(html)), "</p>")
	if inner, ok := strings.CutPrefix(s, "<p>"); ok && !strings.Contains(inner, "<p>") {
		return template.HTML(inner), err //nolint:gosec // as above
	}
	return html, err
}

// link is a place on the page.
type link struct{ ID, Name string }

// headings are the sections of text.
func headings(html template.HTML) []link {
	var links []link
	for _, m := range regexp.MustCompile(`<h2 id="([^"]+)">(.+?)</h2>`).FindAllStringSubmatch(string(html), -1) {
		links = append(links, link{m[1], m[2]})
	}
	return links
}
