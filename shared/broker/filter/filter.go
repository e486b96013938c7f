// Package filter compiles the filters of a Trigger with Knative's own filter
// library, so that the same YAML selects the same events here and on any other
// Knative broker. The dispatcher calls what it returns for every event read.
package filter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/zap"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/eventfilter"
	"knative.dev/eventing/pkg/eventfilter/attributes"
	"knative.dev/eventing/pkg/eventfilter/subscriptionsapi"
	"knative.dev/pkg/logging"
)

// Compile gives the predicate of a Trigger's spec.filters, or of
// spec.filter.attributes where there are none, and nil where all events match.
// A filter that Knative's webhook would refuse is an error, also where the
// library would skip it: a Trigger that is wrong shall match nothing rather
// than everything.
//
// The predicate may be called concurrently and never panics: an expression that
// fails on an event, or does not give a boolean, does not match it.
func Compile(spec *eventingv1.TriggerSpec) (func(event.Event) bool, error) {
	var f eventfilter.Filter
	switch {
	case len(spec.Filters) > 0:
		if err := eventingv1.ValidateSubscriptionAPIFiltersList(context.Background(), spec.Filters); err != nil {
			return nil, fmt.Errorf("filters: %w", err)
		}
		fs, err := buildAll(spec.Filters)
		if err != nil {
			return nil, fmt.Errorf("filters%w", err)
		}
		f = all(fs)
	case spec.Filter != nil && len(spec.Filter.Attributes) > 0:
		if err := eventingv1.ValidateAttributeFilters(spec.Filter); err != nil {
			return nil, fmt.Errorf("filter: %w", err)
		}
		f = attributes.NewAttributesFilter(spec.Filter.Attributes)
	default:
		return nil, nil
	}
	// The library logs every evaluation to the context's logger.
	ctx := logging.WithLogger(context.Background(), zap.NewNop().Sugar())
	return func(e event.Event) (match bool) {
		defer func() {
			if recover() != nil {
				match = false
			}
		}()
		return f.Filter(ctx, e) != eventfilter.FailFilter
	}, nil
}

// Text is the filter as JSON: what an operator sees, and what tells one filter
// from another.
func Text(spec *eventingv1.TriggerSpec) string {
	var v any
	switch {
	case len(spec.Filters) > 0:
		v = spec.Filters
	case spec.Filter != nil && len(spec.Filter.Attributes) > 0:
		v = spec.Filter.Attributes
	default:
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// indexError puts the position of a filter before what is wrong with it.
type indexError struct {
	path string
	err  error
}

func (e indexError) Error() string { return e.path + ": " + e.err.Error() }
func (e indexError) Unwrap() error { return e.err }

func under(path string, err error) error {
	var inner indexError
	if errors.As(err, &inner) {
		return indexError{path + inner.path, inner.err}
	}
	return indexError{path, err}
}

func buildAll(specs []eventingv1.SubscriptionsAPIFilter) ([]eventfilter.Filter, error) {
	fs := make([]eventfilter.Filter, 0, len(specs))
	for i := range specs {
		f, err := build(&specs[i])
		if err != nil {
			return nil, under(fmt.Sprintf("[%d]", i), err)
		}
		fs = append(fs, f)
	}
	return fs, nil
}

func build(spec *eventingv1.SubscriptionsAPIFilter) (eventfilter.Filter, error) {
	switch {
	case len(spec.Exact) > 0:
		return dialect(".exact", subscriptionsapi.NewExactFilter, spec.Exact)
	case len(spec.Prefix) > 0:
		return dialect(".prefix", subscriptionsapi.NewPrefixFilter, spec.Prefix)
	case len(spec.Suffix) > 0:
		return dialect(".suffix", subscriptionsapi.NewSuffixFilter, spec.Suffix)
	case spec.CESQL != "":
		return dialect(".cesql", subscriptionsapi.NewCESQLFilter, spec.CESQL)
	case len(spec.All) > 0:
		fs, err := buildAll(spec.All)
		if err != nil {
			return nil, under(".all", err)
		}
		return all(fs), nil
	case len(spec.Any) > 0:
		fs, err := buildAll(spec.Any)
		if err != nil {
			return nil, under(".any", err)
		}
		return anyOf(fs), nil
	case spec.Not != nil:
		f, err := build(spec.Not)
		if err != nil {
			return nil, under(".not", err)
		}
		return subscriptionsapi.NewNotFilter(f), nil
	}
	return subscriptionsapi.NewNoFilter(), nil // {} matches all
}

func dialect[T any](path string, make func(T) (eventfilter.Filter, error), spec T) (f eventfilter.Filter, err error) {
	defer func() {
		if r := recover(); r != nil { // the CESQL parser can
			f, err = nil, under(path, fmt.Errorf("cannot be parsed: %v", r))
		}
	}()
	f, err = make(spec)
	if err != nil {
		return nil, under(path, err)
	}
	return f, nil
}

// all and anyOf stand in for the library's: those keep a goroutine each, to sort
// their filters by success, which races with the matching and is never stopped.
type all []eventfilter.Filter

func (fs all) Filter(ctx context.Context, e event.Event) eventfilter.FilterResult {
	res := eventfilter.NoFilter
	for _, f := range fs {
		if res = f.Filter(ctx, e); res == eventfilter.FailFilter {
			return res
		}
	}
	return res
}

func (all) Cleanup() {}

type anyOf []eventfilter.Filter

func (fs anyOf) Filter(ctx context.Context, e event.Event) eventfilter.FilterResult {
	res := eventfilter.NoFilter
	for _, f := range fs {
		if res = f.Filter(ctx, e); res != eventfilter.FailFilter {
			return res
		}
	}
	return res
}

func (anyOf) Cleanup() {}
