// Package browser tests the dashboard as people use it: in a real browser, on
// the whole pipeline. It is skipped where there is no Chromium, and fails
// instead with SWEEPLINE_REQUIRE_BROWSER=1.
package browser_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/kelseyhightower/envconfig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zixly/sweepline/local/runner"
)

type config struct {
	Require bool `envconfig:"SWEEPLINE_REQUIRE_BROWSER"`
	// Screenshots is a folder to leave pictures of the pages in. Keep it out
	// of the repository.
	Screenshots string `envconfig:"SWEEPLINE_SCREENSHOTS"`
}

func env(t *testing.T) config {
	t.Helper()
	var c config
	require.NoError(t, envconfig.Process("", &c))
	return c
}

// patience is how long a page may take to show something.
const patience = 60 * time.Second

// chromium finds the browser.
func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no chromium in PATH")
}

// browser starts one that is empty, and ends it with the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := chromium()
	if err != nil {
		if env(t).Require {
			t.Fatal(err)
		}
		t.Skipf("the dashboard is not tested in a browser: %v", err)
	}
	folder, err := os.MkdirTemp("", "sweepline-browser-")
	require.NoError(t, err)
	t.Cleanup(func() { // its processes write on for a moment after it is killed
		require.Eventually(t, func() bool { return os.RemoveAll(folder) == nil }, patience, 50*time.Millisecond)
	})
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(folder), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Run(ctx), "the browser lives as long as the context of its first run")
	return ctx
}

// visitor is somebody at a browser in front of a running pipeline.
type visitor struct {
	t     *testing.T
	ctx   context.Context //nolint:containedctx // the browser's tab is a context
	local *runner.Local
	// answers are to the questions that pages ask.
	answers chan bool
	faults  chan string
}

func visit(t *testing.T, cfg runner.Config) *visitor {
	t.Helper()
	v := &visitor{t: t, ctx: browser(t), answers: make(chan bool, 8), faults: make(chan string, 100)}
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	var err error
	v.local, err = runner.Start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, v.local.Close()) })
	chromedp.ListenTarget(v.ctx, v.listen)
	v.do(log.Enable())
	t.Cleanup(func() {
		close(v.faults)
		for fault := range v.faults {
			t.Errorf("the browser complains: %s", fault)
		}
	})
	return v
}

// listen answers questions and collects what the browser complains about:
// script errors, and what the content security policy refused.
func (v *visitor) listen(ev any) {
	switch e := ev.(type) {
	case *page.EventJavascriptDialogOpening:
		yes := <-v.answers
		go func() { _ = chromedp.Run(v.ctx, page.HandleJavaScriptDialog(yes)) }()
	case *cdpruntime.EventExceptionThrown:
		v.fault(e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError && e.Entry.Source != log.SourceNetwork {
			v.fault(e.Entry.Text)
		}
	}
}

func (v *visitor) fault(text string) {
	select {
	case v.faults <- text:
	default: // one is enough
	}
}

func (v *visitor) do(actions ...chromedp.Action) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	require.NoError(v.t, chromedp.Run(ctx, actions...))
}

func (v *visitor) open(path string) {
	v.t.Helper()
	v.do(chromedp.Navigate(v.local.PublicURL + path))
}

// sees waits until the page's text holds what is wanted.
func (v *visitor) sees(want string) {
	v.t.Helper()
	var text string
	// Pages come and go meanwhile, and a look at one that goes is an error.
	seen := func() bool {
		ctx, cancel := context.WithTimeout(v.ctx, 5*time.Second)
		defer cancel()
		return chromedp.Run(ctx, chromedp.Evaluate(`document.body.innerText`, &text)) == nil && strings.Contains(text, want)
	}
	if !assert.Eventually(v.t, seen, patience, 50*time.Millisecond) {
		require.FailNow(v.t, "not on the page: "+want, text)
	}
}

func (v *visitor) path() string {
	v.t.Helper()
	var at string
	v.do(chromedp.Location(&at))
	return strings.TrimPrefix(at, v.local.PublicURL)
}

// fits checks that nothing sticks out of the page at desktop and phone width,
// and leaves pictures, light and dark, where they are wanted.
func (v *visitor) fits(name string) {
	v.t.Helper()
	for _, width := range []int64{1280, 390} {
		v.do(chromedp.EmulateViewport(width, 900))
		var wide []string
		v.do(chromedp.Evaluate(tooWide, &wide))
		require.Empty(v.t, wide, "%s sticks out at %d pixels", name, width)
		if dir := env(v.t).Screenshots; dir != "" {
			for _, scheme := range []string{"light", "dark"} {
				var picture []byte
				v.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
					chromedp.FullScreenshot(&picture, 100))
				file := filepath.Join(dir, strings.Join([]string{name, map[int64]string{1280: "desktop", 390: "phone"}[width], scheme}, "-")+".png")
				require.NoError(v.t, os.WriteFile(file, picture, 0o600))
			}
		}
	}
	v.do(chromedp.EmulateViewport(1280, 900))
}

// tooWide names elements that reach past the window, but for those inside a
// part that scrolls by itself, and elements whose text is cut off.
const tooWide = `[...document.querySelectorAll("body *")].filter((e) => {
  if (e.closest(".scroll, pre, .hidden, .skip, svg") || e.checkVisibility && !e.checkVisibility()) return false;
  const box = e.getBoundingClientRect();
  const cut = getComputedStyle(e).overflowX === "hidden" && e.scrollWidth > e.clientWidth + 1 && e.tagName !== "PROGRESS";
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1 || cut);
}).map((e) => e.tagName + "." + e.className + " " + e.textContent.trim().slice(0, 40))`
