package job

import "unicode"

// Printable is for strings.Map over a text of others that people will see, in a
// terminal, a log or a sheet. A space stands for what steers a terminal or begins a
// line (control characters of both sets, the separators of lines and paragraphs);
// what is unseen and may turn the text around it (format characters: bidi, zero
// width, tags) is left out.
func Printable(r rune) rune {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029':
		return ' '
	case unicode.Is(unicode.Cf, r):
		return -1
	}
	return r
}
