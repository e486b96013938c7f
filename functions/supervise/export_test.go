package supervise

// Tend and Admit are one turn of the loops, for tests that own the clock.
var (
	Tend  = (*Function).tend
	Admit = (*Function).admit
)
