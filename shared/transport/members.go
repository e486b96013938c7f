package transport

// Members counts the members of a JSON array or object without reading them, up to
// one more than most. Of what is no JSON the count means nothing.
func Members(text []byte, most int) int {
	depth, n := 0, 0
	for i := 0; i < len(text) && n <= most; i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			if depth++; depth == 1 {
				n = 1
			}
		case ']', '}':
			depth--
		case ',':
			if depth == 1 {
				n++
			}
		}
	}
	return n
}
