package jobs

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/zixly/sweepline/shared/broker"
	"github.com/zixly/sweepline/shared/event"
	"github.com/zixly/sweepline/shared/job"
)

// longestTicker is that of job.Sweep's rules.
const longestTicker = 20

// toldChannel finds the channels in what notify answers with.
var toldChannel = regexp.MustCompile(`notify (slack|email|log) of job`)

// undone says in words what has not happened because of a dead letter. An event tells
// what has: that a job is completed, say, when it is the message about it that fails.
func undone(l broker.DeadLetter) string {
	of := " of " + tickerOf(l)
	switch l.Trigger {
	case "submit":
		return "Sweep" + of + " not submitted"
	case "collect":
		return "Results" + of + " not fetched"
	case "store":
		switch l.Event.Type() {
		case event.SweepCompleted, event.SweepCollected, event.SweepFailed:
			return "End" + of + " not stored"
		case event.JobNotified:
			return "Notification" + of + " not noted"
		}
		return "Progress" + of + " not stored"
	case "notify":
		return message(l.Reason) + " about " + tickerOf(l) + " not sent"
	case "metrics", "supervise":
		return "Step" + of + " not counted"
	}
	return "Event not delivered to " + l.Trigger
}

// message names the channels that an error is about.
func message(reason string) string {
	slack, mail := false, false
	for _, m := range toldChannel.FindAllStringSubmatch(reason, -1) {
		slack, mail = slack || m[1] == "slack", mail || m[1] == "email"
	}
	switch {
	case slack && mail:
		return "Slack message and mail"
	case slack:
		return "Slack message"
	case mail:
		return "Mail"
	}
	return "Message"
}

// tickerOf is the ticker of a dead letter's job, as far as its data tells.
func tickerOf(l broker.DeadLetter) string {
	var data struct {
		Parameters job.Sweep `json:"parameters"`
		Job        struct {
			Parameters job.Sweep `json:"parameters"`
		} `json:"job"`
	}
	_ = json.Unmarshal(l.Event.Data(), &data) // what is found before a mistake will do
	for _, ticker := range []string{data.Parameters.Ticker, data.Job.Parameters.Ticker} {
		if ticker != "" && len(ticker) <= longestTicker {
			return strings.Map(job.Printable, strings.ToValidUTF8(ticker, "?"))
		}
	}
	return "a job"
}
