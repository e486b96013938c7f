package dashboard

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/zixly/sweepline/shared/auth"
	"github.com/zixly/sweepline/shared/jobs"
	"github.com/zixly/sweepline/shared/mailbox"
)

type mailboxPageView struct {
	view
	Messages []mailbox.Message
	Most     int
}

type messagePageView struct {
	view
	Message mailbox.Message
	Slack   slackView
	// Raw is Slack's message as it would be posted.
	Raw string
}

func (f *Function) mailboxPage(w http.ResponseWriter, r *http.Request) {
	render(w, r, http.StatusOK, "mailbox.html", mailboxPageView{f.view(r), f.Mailbox.Messages(auth.FromContext(r.Context())), mailbox.MostMessages})
}

func (f *Function) messagePage(w http.ResponseWriter, r *http.Request) {
	m, ok := f.Mailbox.Message(auth.FromContext(r.Context()), r.PathValue("id"))
	if !ok {
		f.problem(w, r, http.StatusNotFound, "No such message", "It was not written, or newer ones took its place.")
		return
	}
	v := messagePageView{view: f.view(r), Message: m, Slack: readSlack(m.Slack), Raw: string(m.Slack)}
	v.Path = "/mailbox"
	w.Header().Set("Content-Security-Policy", jobs.Policy+"; frame-src 'self'")
	render(w, r, http.StatusOK, "message.html", v)
}

// mailPolicy shuts a mail in: no script, no forms, no address of ours and
// nothing from elsewhere. Links may be followed, into windows of their own.
const mailPolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; " +
	"form-action 'none'; frame-ancestors 'self'"

// mailAlone is a mail's HTML as a mail program shows it, with its picture.
func (f *Function) mailAlone(w http.ResponseWriter, r *http.Request) {
	m, ok := f.Mailbox.Message(auth.FromContext(r.Context()), r.PathValue("id"))
	if !ok {
		f.problem(w, r, http.StatusNotFound, "No such message", "It was not written, or newer ones took its place.")
		return
	}
	html := strings.Replace(m.HTML, "<head>", `<head><base target="_blank">`, 1)
	if m.Picture != nil {
		if picture := m.Picture(r.Context()); picture != nil { // else its words are shown
			html = strings.ReplaceAll(html, m.PictureSrc, "data:image/png;base64,"+base64.StdEncoding.EncodeToString(picture))
		}
	}
	w.Header().Set("Content-Security-Policy", mailPolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(html))
}

// slackView is a message of blocks, as far as the page can show it.
type slackView struct {
	Text   string
	Blocks []slackBlock
}

// slackBlock is a header, a section, or a row of buttons; of other kinds only
// the name is shown.
type slackBlock struct {
	Kind    string
	Text    slackText
	Fields  []slackText
	Buttons []slackButton
}

type slackText struct {
	Text string
	// Code is text between three backticks.
	Code string
}

type slackButton struct{ Text, URL string }

func readSlack(body []byte) slackView {
	type text struct{ Text string }
	var m struct {
		Text   string
		Blocks []struct {
			Type     string
			Text     *text
			Fields   []text
			Elements []struct {
				Text json.RawMessage // an object in buttons, a string in context
				URL  string
			}
		}
	}
	_ = json.Unmarshal(body, &m) // notify has checked it; what does not fit stays empty
	v := slackView{Text: m.Text}
	for _, b := range m.Blocks {
		block := slackBlock{Kind: b.Type}
		if b.Text != nil {
			block.Text = slackTextOf(b.Text.Text)
		}
		for _, t := range b.Fields {
			block.Fields = append(block.Fields, slackTextOf(t.Text))
		}
		for _, e := range b.Elements {
			var t text
			if json.Unmarshal(e.Text, &t) != nil {
				_ = json.Unmarshal(e.Text, &t.Text)
			}
			block.Buttons = append(block.Buttons, slackButton{t.Text, e.URL})
		}
		v.Blocks = append(v.Blocks, block)
	}
	return v
}

func slackTextOf(s string) slackText {
	if code, ok := strings.CutPrefix(s, "```"); ok {
		if code, ok = strings.CutSuffix(code, "```"); ok {
			return slackText{Code: strings.Trim(code, "\n")}
		}
	}
	return slackText{Text: s}
}
