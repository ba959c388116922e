// Command promcheck reads Prometheus' rule groups from standard input and prints what is wrong with them, with exit
// code 1; or else the names of the metrics that their expressions ask for, one on each line. With arguments, which are
// series such as `up{job="x"} 1x60` (a value a minute), it prints the alerts that fire at their end.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	must(err)
	groups, problems := rulefmt.Parse(text, false)
	must(problems...)
	if len(os.Args) == 1 {
		list(metrics(groups))
		return
	}
	situation, err := read(os.Args[1:])
	must(err)
	names, err := situation.firing(context.Background(), groups)
	must(err)
	list(names)
}

func metrics(groups *rulefmt.RuleGroups) []string {
	var names []string
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expression, err := parser.ParseExpr(rule.Expr)
			must(err)
			parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
				if selector, ok := node.(*parser.VectorSelector); ok {
					names = append(names, selector.Name)
				}
				return nil
			})
		}
	}
	return names
}

func list(names []string) {
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		fmt.Println(name)
	}
}

// must prints what is wrong and ends the program, or does nothing.
func must(problems ...error) {
	failed := false
	for _, problem := range problems {
		if problem != nil {
			fmt.Fprintln(os.Stderr, problem)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}
