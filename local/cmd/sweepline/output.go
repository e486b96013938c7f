package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// The forms that data is printed in.
const (
	formTable = "table" // for people; leaves out columns where a terminal is narrow
	formWide  = "wide"  // a table with every column
	formJSON  = "json"  // one document, indented, with the names of the API
	formJSONL = "jsonl" // an object a line
	formCSV   = "csv"   // with a line of names
	formName  = "name"  // a name or an id a line, for other commands
)

// allForms are those of lists.
var allForms = []string{formTable, formWide, formJSON, formJSONL, formCSV, formName}

// output are the flags that say in which form data is printed.
type output struct {
	form  string
	forms []string
}

// flags adds them to a command that has these forms; the first is the default. --json is
// what -o json was before it.
func (o *output) flags(cmd *cobra.Command, forms ...string) {
	o.form, o.forms = forms[0], forms
	cmd.Flags().VarP(o, "output", "o", strings.Join(forms[:len(forms)-1], ", ")+" or "+forms[len(forms)-1])
	o.alias(cmd, formJSON)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp))
}

// alias adds a flag that is the same as -o form.
func (o *output) alias(cmd *cobra.Command, form string) {
	cmd.Flags().BoolFunc(form, "the same as -o "+form, func(text string) error {
		on, err := strconv.ParseBool(text)
		if on {
			o.form = form
		}
		return err
	})
	cmd.MarkFlagsMutuallyExclusive("output", form)
}

// Set takes a form.
func (o *output) Set(form string) error {
	if !slices.Contains(o.forms, form) {
		return fmt.Errorf("must be one of %s", strings.Join(o.forms, ", "))
	}
	o.form = form
	return nil
}

// String is the form.
func (o *output) String() string { return o.form }

// Type names the flag's value in help.
func (o *output) Type() string { return "form" }

// isJSON says that a program reads it.
func (o *output) isJSON() bool { return o.form == formJSON || o.form == formJSONL }

// listing is what a command lists, in every form.
type listing[T any] struct {
	items []T
	// page is all of it as JSON.
	page any
	// name is what other commands call an item.
	name func(T) string
	// head names the columns of CSV, and record is an item's.
	head   []string
	record func(T) []string
	// table prints it for people.
	table func(w io.Writer, wide bool) error
}

// show prints a listing in the form that is wanted.
func show[T any](cmd *cobra.Command, o output, l listing[T]) error {
	w := cmd.OutOrStdout()
	switch o.form {
	case formJSON:
		return printJSON(w, l.page)
	case formJSONL:
		return printJSONL(w, l.items)
	case formCSV:
		out := csv.NewWriter(w)
		if err := out.Write(l.head); err != nil {
			return err
		}
		for _, item := range l.items {
			record := l.record(item)
			for i, text := range record {
				record[i] = csvText(text)
			}
			if err := out.Write(record); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	case formName:
		for _, item := range l.items {
			if _, err := fmt.Fprintln(w, printable(l.name(item))); err != nil {
				return err
			}
		}
		return nil
	default:
		return l.table(w, o.form == formWide)
	}
}

// printJSONL prints items as JSON, one a line.
func printJSONL[T any](w io.Writer, items []T) error {
	enc := json.NewEncoder(plainJSON{w})
	for _, item := range items {
		if err := enc.Encode(item); err != nil {
			return err
		}
	}
	return nil
}

// csvText is a text of others as a cell: printable, and no formula to a spreadsheet.
// Rule: OWASP, "CSV Injection". A number is one.
func csvText(text string) string {
	text = printable(text)
	if _, err := strconv.ParseFloat(text, 64); err != nil && text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// The cells of CSV: empty for what is not there.

func csvTime(at *time.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

func csvFloat(x *float64) string {
	if x == nil {
		return ""
	}
	return strconv.FormatFloat(*x, 'f', -1, 64)
}
