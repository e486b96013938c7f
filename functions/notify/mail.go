package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"
)

// mailChannel sends one message to all recipients, over a connection of its
// own: jobs end minutes apart, and servers hang up sooner.
type mailChannel struct {
	host    string
	options []mail.Option
	from    string
	to      []string
	domain  string

	templates *templates
}

func newMail(cfg Config, t *templates) (*mailChannel, error) {
	c := &mailChannel{from: cfg.EmailFrom, templates: t}
	var errs []error
	from, err := netmail.ParseAddress(cfg.EmailFrom)
	if err != nil {
		errs = append(errs, errors.New("NOTIFY_EMAIL_FROM must be an address, and is required with SMTP_URL"))
	} else {
		_, c.domain, _ = strings.Cut(from.Address, "@")
	}
	for _, to := range cfg.EmailTo {
		if to = strings.TrimSpace(to); to == "" {
			continue
		}
		if _, err := netmail.ParseAddress(to); err != nil {
			errs = append(errs, errors.New("NOTIFY_EMAIL_TO must be a list of addresses"))
		}
		c.to = append(c.to, to)
	}
	if len(c.to) == 0 {
		errs = append(errs, errors.New("NOTIFY_EMAIL_TO is required with SMTP_URL"))
	}
	c.host, c.options, err = dial(cfg.SMTPURL)
	c.options = append(c.options, mail.WithTimeout(cfg.Timeout))
	return c, errors.Join(append(errs, err)...)
}

// dial reads SMTP_URL. Its errors repeat nothing of it.
func dial(raw string) (string, []mail.Option, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "smtp" && u.Scheme != "smtps") || u.Hostname() == "" {
		return "", nil, errors.New("SMTP_URL must have the form smtp://user:password@host:port or smtps://…")
	}
	user := u.User.Username()
	mode := u.Query().Get("tls")
	if mode == "" {
		switch {
		case u.Scheme == "smtps":
			mode = "implicit"
		case user != "":
			mode = "starttls"
		default:
			mode = "opportunistic"
		}
	}
	port := mail.DefaultPortTLS
	var options []mail.Option
	switch mode {
	case "implicit":
		port = mail.DefaultPortSSL
		options = append(options, mail.WithSSL())
	case "starttls":
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case "opportunistic":
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case "none":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		return "", nil, errors.New("SMTP_URL: tls must be starttls, opportunistic, none or implicit")
	}
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil || port < 1 || port > 65535 {
			return "", nil, errors.New("SMTP_URL: invalid port")
		}
	}
	options = append(options, mail.WithPort(port))
	if user != "" {
		password, _ := u.User.Password()
		auth := mail.SMTPAuthAutoDiscover
		if mode == "none" {
			auth = mail.SMTPAuthPlainNoEnc // asked for in so many words
		}
		options = append(options, mail.WithSMTPAuth(auth), mail.WithUsername(user), mail.WithPassword(password))
	}
	return u.Hostname(), options, nil
}

// trust makes the channel believe other certificates than the system's.
func (c *mailChannel) trust(t *tls.Config) { c.options = append(c.options, mail.WithTLSConfig(t)) }

func (*mailChannel) name() string { return "email" }

func (*mailChannel) pictured() bool { return true }

func (c *mailChannel) send(ctx context.Context, m message) error {
	msg, err := c.compose(ctx, m)
	if err != nil {
		return err
	}
	client, err := mail.NewClient(c.host, c.options...)
	if err != nil {
		return fmt.Errorf("create mail client: %w", err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil && !msg.IsDelivered() {
		return classifyMail(fmt.Errorf("send mail: %w", err), msg)
	}
	return nil // delivered, even if the goodbye went wrong
}

// classifyMail turns a failed delivery into an error of send. Only a reply of
// 5xx refuses it (RFC 5321, 4.2.1). A connection that breaks after the message
// and before the reply leaves it open (RFC 1047).
func classifyMail(err error, msg *mail.Msg) error {
	var sending *mail.SendError
	if errors.As(msg.SendError(), &sending) {
		switch {
		case sending.ErrorCode() >= 500:
			return err
		case sending.ErrorCode() == 0 && sending.Reason == mail.ErrSMTPDataClose:
			return &uncertain{err}
		}
		return unavailable(err, pause)
	}
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code >= 500 {
		return err // a login that is refused, above all
	}
	return unavailable(err, pause)
}

// compose makes the message: text, and HTML with the picture beside it.
func (c *mailChannel) compose(ctx context.Context, m message) (*mail.Msg, error) {
	type bodies struct{ plain, rich string }
	b, err := with(ctx, c.templates, m, func(s set, m message) (b bodies, err error) {
		b.plain, b.rich, err = s.mail(m)
		return b, err
	})
	if err != nil {
		return nil, err
	}
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(c.from), msg.To(c.to...)); err != nil {
		return nil, fmt.Errorf("address mail: %w", err)
	}
	msg.Subject(m.Subject())
	msg.SetDate()
	// The same job always has the same id, so that mail servers may drop a
	// repeat; the second header keeps auto-responders quiet (RFC 3834).
	msg.SetMessageIDWithValue(m.Job.JobID + ".ended@" + c.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, b.plain)
	msg.AddAlternativeString(mail.TypeTextHTML, b.rich)
	// A template of one's own may leave the picture out.
	if p := m.Picture; p != nil && strings.Contains(b.rich, string(p.Src)) {
		if err := msg.EmbedReader("heat-map.png", bytes.NewReader(p.file), mail.WithFileContentID("<"+p.id+">"), mail.WithFileContentType("image/png")); err != nil {
			return nil, fmt.Errorf("embed picture: %w", err)
		}
	}
	return msg, nil
}
