package notify_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/functions/notify"
)

// folder writes templates of one's own.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestTemplatesAreReplacedOneByOne(t *testing.T) {
	t.Parallel()
	sender, office := newSlackSink(t), newPostOffice(t, false)
	dir := folder(t, map[string]string{
		"mail.html":  `<p title="{{.Subject}}">Hello: {{with .Error}}{{.}}{{else}}{{.Job.SweepRunID}}{{end}}</p>`,
		"slack.json": `{"text": {{json .Subject}}}`,
		"..data":     "Kubernetes keeps such files beside the mounted ones",
	})
	b := setup(t, func(c *notify.Config) {
		c.SlackWebhookURL, c.SMTPURL, c.TemplateDir = sender.url, "smtp://"+office.addr, dir
	})
	_, err := b.Handle(t.Context(), failed(t, `<img src=x> "quoted"`))
	require.NoError(t, err)
	m := office.got()[0].read(t)
	parts := partsOf(t, m.Header.Get("Content-Type"), m.Body)
	require.Equal(t, `<p title="SMA sweep of DAX failed: the sweep failed">Hello: &lt;img src=x&gt; &#34;quoted&#34;</p>`, parts["text/html"])
	require.Contains(t, parts["text/plain"], "Failed after 1m30s", "the others stay")
	require.JSONEq(t, `{"text": "SMA sweep of DAX failed: the sweep failed"}`, string(sender.got()[0]))
}

func TestABrokenTemplateIsFoundAtStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, text string
		want       []string
	}{
		"syntax":        {"mail.txt", "fine\n{{if}}", []string{"NOTIFY_TEMPLATE_DIR", "mail.txt:2"}},
		"field":         {"mail.html", "fine\nfine\n<p>{{.Jop}}</p>", []string{"mail.html:3", "Jop"}},
		"only failed":   {"mail.txt", "{{if not .Completed}}\n{{.Nothing}}{{end}}", []string{"mail.txt:2", "failed"}},
		"only without":  {"mail.txt", "{{.Job.Metrics.BestScore}}", []string{"mail.txt:1", "nil pointer"}},
		"HTML":          {"mail.html", "<p>\n<a href='{{.Link}}", []string{"mail.html", "ends in"}},
		"no JSON":       {"slack.json", "{\"text\": {{json .Subject}},\n \"x\": {{.Subject}}}", []string{"slack.json:2", "json .Subject"}},
		"Slack's shape": {"slack.json", `{"text": "x", "blocks": [{"text": "x"}]}`, []string{"slack.json", "block 1"}},
		"no text":       {"slack.json", `{}`, []string{"slack.json", "must have text"}},
		"name":          {"mail.htm", "x", []string{"mail.htm replaces no template", "mail.html"}},
		"size":          {"mail.txt", strings.Repeat("x", 300<<10), []string{"mail.txt is larger"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string]string{c.file: c.text})
			_, err := notify.New(notify.Config{BaseURL: "http://localhost", Timeout: 1, Keep: 1, TemplateDir: dir}, &memory{}, &broker{})
			require.Error(t, err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	require.ErrorContains(t, notify.CheckTemplates("/does/not/exist"), "NOTIFY_TEMPLATE_DIR")
}

func TestTheBuiltInTemplatesAreTemplatesOfOnesOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, notify.Templates()))
	require.NoError(t, notify.CheckTemplates(dir))
	files, err := fs.Glob(notify.Templates(), "*")
	require.NoError(t, err)
	require.Equal(t, []string{"mail.html", "mail.txt", "slack.json"}, files)
}

// A template that no sample could try costs its dress, not the message.
func TestATemplateThatFailsLater(t *testing.T) {
	t.Parallel()
	sender := newSlackSink(t)
	b := setup(t, func(c *notify.Config) {
		c.SlackWebhookURL = sender.url
		c.TemplateDir = folder(t, map[string]string{"slack.json": `{"text": {{if .Best}}{{json (index .Best 1).Score | printf "%q"}}{{else}}"none"{{end}}}`})
	})
	_, err := b.Handle(t.Context(), completed(t)) // with one row, and the sample has two
	require.NoError(t, err)
	require.Contains(t, string(sender.got()[0]), "Open the job")
	require.Contains(t, b.log.String(), "slack.json:1")
}
