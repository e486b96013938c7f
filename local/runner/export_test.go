package runner

// RedisURL is what the steps connect to.
func (l *Local) RedisURL() string { return l.stores.redisURL }

// StepURLs are the ports of the functions.
func (l *Local) StepURLs() []string {
	var urls []string
	for _, s := range l.steps {
		urls = append(urls, s.at.url())
	}
	return urls
}
