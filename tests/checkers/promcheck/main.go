// Command promcheck reads Prometheus' rule groups from standard input and prints what is wrong with them, with exit
// code 1; or else the names of the metrics that their expressions ask for, one on each line.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	fail(err)
	groups, problems := rulefmt.Parse(text, false)
	fail(problems...)
	var names []string
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expression, err := parser.ParseExpr(rule.Expr)
			fail(err)
			parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
				if selector, ok := node.(*parser.VectorSelector); ok {
					names = append(names, selector.Name)
				}
				return nil
			})
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		fmt.Println(name)
	}
}

func fail(problems ...error) {
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
