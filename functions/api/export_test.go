package api

// Patterns are those of the function's addresses.
func (f *Function) Patterns() []string { return f.patterns }
