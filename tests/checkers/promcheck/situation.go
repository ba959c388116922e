package main

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

const step = time.Minute

// situation is a few series with a value a minute, which Prometheus' own engine can query.
type situation struct {
	series []promql.Series
	end    time.Time
}

func read(descriptions []string) (situation, error) {
	var found situation
	for _, description := range descriptions {
		metric, values, err := parser.ParseSeriesDesc(description)
		if err != nil {
			return found, err
		}
		series := promql.Series{Metric: metric}
		for minute, value := range values {
			at := time.Unix(0, 0).Add(time.Duration(minute) * step)
			if !value.Omitted {
				series.Floats = append(series.Floats, promql.FPoint{T: at.UnixMilli(), F: value.Value})
			}
			if at.After(found.end) {
				found.end = at
			}
		}
		found.series = append(found.series, series)
	}
	return found, nil
}

// firing returns the alerts whose expression has held, for the same labels, for as long as they ask.
func (s situation) firing(ctx context.Context, groups *rulefmt.RuleGroups) ([]string, error) {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute})
	var names []string
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			held, err := s.held(ctx, engine, rule.Expr, time.Duration(rule.For))
			if err != nil {
				return nil, err
			}
			if held {
				names = append(names, rule.Alert)
			}
		}
	}
	return names, nil
}

func (s situation) held(ctx context.Context, engine *promql.Engine, expression string, period time.Duration) (bool, error) {
	counts := map[string]int{}
	looks := 0
	for at := s.end.Add(-period); !at.After(s.end); at = at.Add(step) {
		query, err := engine.NewInstantQuery(ctx, s, nil, expression, at)
		if err != nil {
			return false, err
		}
		vector, err := query.Exec(ctx).Vector()
		if err != nil {
			return false, err
		}
		for _, sample := range vector {
			counts[sample.Metric.String()]++
		}
		looks++
	}
	for _, count := range counts {
		if count == looks {
			return true, nil
		}
	}
	return false, nil
}

// Querier implements storage.Queryable.
func (s situation) Querier(_, _ int64) (storage.Querier, error) { return s, nil }

// Select implements storage.Querier.
func (s situation) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &selection{next: -1}
	for _, series := range s.series {
		if matches(series.Metric, matchers) {
			found.series = append(found.series, series)
		}
	}
	return found
}

func matches(metric labels.Labels, matchers []*labels.Matcher) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(metric.Get(matcher.Name)) {
			return false
		}
	}
	return true
}

// LabelValues implements storage.Querier; expressions do not ask for it.
func (s situation) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames implements storage.Querier; expressions do not ask for it.
func (s situation) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close implements storage.Querier.
func (s situation) Close() error { return nil }

type selection struct {
	series []promql.Series
	next   int
}

func (s *selection) Next() bool {
	s.next++
	return s.next < len(s.series)
}

func (s *selection) At() storage.Series                { return promql.NewStorageSeries(s.series[s.next]) }
func (s *selection) Err() error                        { return nil }
func (s *selection) Warnings() annotations.Annotations { return nil }
